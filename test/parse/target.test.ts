import fc from 'fast-check';
import t from 'tap';
import { decide } from '../../src/auth/decide.js';
import type { RuleTable } from '../../src/model/rule.js';
import { readFields } from '../../src/parse/fields.js';
import { canonicalPath, canonicalTarget, MARK, readings, type Target } from '../../src/parse/target.js';
import { CANONICAL } from '../../src/rules/pattern/canonical.js';
import { startTestGateway } from '../gateway.js';
import { noRemote } from '../remote.js';
import { runs } from '../rules/pattern/patterns.js';
import { vectors } from '../vectors.js';
import { sendRaw } from '../wire.js';

interface Case {
  readonly id: string;
  readonly method: string;
  readonly target_b64: string;
  readonly note: string;
  readonly must: 'reject' | 'normalize';
  readonly normalized: string | null;
  readonly expect_rule: string | null;
}

const { cases, authority } = vectors('paths') as { cases: Case[]; authority: string };
const raw = ({ target_b64 }: Case): string => Buffer.from(target_b64, 'base64').toString('latin1');

t.test('every target of the vectors has its canonical path or a reason', async (t) => {
  for (const example of cases) {
    const target = canonicalTarget(raw(example), authority);
    const name = `${example.id} ${example.note}`;
    if (example.must === 'normalize')
      t.match(target, { host: 'gate.example', path: example.normalized }, name);
    else t.ok('refused' in target || target.marks !== 0, name);
  }
});

t.test('every target of the vectors through a real socket', { jobs: 1 }, async (t) => {
  const gate = await startTestGateway(t, {
    rules: JSON.stringify({
      apiVersion: 'gateway.kyma-project.io/v1beta1',
      kind: 'APIRule',
      metadata: { name: 'gate', namespace: 'default' },
      spec: {
        gateway: 'default/gate',
        host: 'gate.example',
        service: { name: 'upstream', port: 80 },
        rules: [
          { path: '/.*', methods: ['GET'], accessStrategies: scoped('read') },
          { path: '/post', methods: ['POST'], accessStrategies: scoped('write') },
          { path: '/admin(/.*)?', methods: ['GET'], accessStrategies: scoped('admin') },
          { path: '/public/.*', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
        ],
      },
    }),
  });
  for (const example of cases) {
    gate.upstream.received.length = 0;
    const statuses: Record<string, number | undefined> = {};
    for (const token of ['', 'good-read', 'good-write', 'good-admin']) {
      const authorization = token === '' ? '' : `Authorization: Bearer ${token}\r\n`;
      const head = Buffer.from(
        `${example.method} ${raw(example)} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}\r\n`,
        'latin1',
      );
      statuses[token] = (await sendRaw(gate.port, head)).answers[0]?.status;
    }
    const name = `${example.id} ${example.note}`;
    const sent = gate.upstream.received.map(({ url }) => url.split('?')[0]);
    if (example.must === 'reject') {
      t.ok(
        Object.values(statuses).every((status) => status === undefined || status >= 400),
        name,
      );
      t.same(sent, [], `${name}: nothing is forwarded`);
      continue;
    }
    const opens = {
      public: ['', 'good-read', 'good-write', 'good-admin'],
      read: ['good-read'],
      write: ['good-write'],
      admin: ['good-admin'],
      none: [],
    }[example.expect_rule ?? 'none'];
    t.same(
      Object.keys(statuses).filter((token) => statuses[token] === 200),
      opens,
      name,
    );
    t.ok(
      sent.every((path) => path === example.normalized),
      `${name}: the path sent is the one matched`,
    );
  }
});

function scoped(scope: string): object[] {
  return [{ handler: 'oauth2_introspection', config: { required_scope: [scope] } }];
}

/** Paths of the pieces that parsers quarrel about. */
const quarrelsome = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '/',
        '/',
        '/',
        '.',
        '..',
        '%2e',
        '%2E',
        '%2f',
        '%5c',
        '\\',
        ';',
        '%3b',
        '%25',
        '%252e',
        '%00',
        '#',
        '?',
      ),
      fc.constantFrom(
        'a',
        'admin',
        '%61',
        '%41',
        '%C3%A9',
        '%c3%a9',
        '%20',
        '+',
        '@',
        ':',
        '%40',
        '%7e',
        '~',
        '*',
        '&',
        '=',
      ),
      fc.string({ maxLength: 3 }),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => `/${pieces.join('')}`);

t.test('a canonical path is its own canonical path', async (t) => {
  fc.assert(
    fc.property(quarrelsome, (path) => {
      const once = canonicalPath(path);
      if ('refused' in once) return true;
      const twice = canonicalPath(once.path);
      // Marks of a segment that ".." took away are kept: some upstream may have cut the segment before it resolved.
      if ('refused' in twice) return false;
      return twice.path === once.path && (twice.marks | once.marks) === once.marks && !('unmerged' in twice);
    }),
    { numRuns: runs(5_000) },
  );
  t.end();
});

t.test('a canonical path is what WHATWG URL makes of it', async (t) => {
  fc.assert(
    fc.property(quarrelsome, (path) => {
      const canonical = canonicalPath(path);
      if ('refused' in canonical) return true;
      return new URL(`http://h${canonical.path}`).pathname === canonical.path;
    }),
    { numRuns: runs(5_000) },
  );
  t.end();
});

t.test(
  'a canonical path holds nothing but printable ASCII, no backslash, no dot segment, no empty segment',
  async (t) => {
    fc.assert(
      fc.property(quarrelsome, (path) => {
        const canonical = canonicalPath(path);
        if ('refused' in canonical) return true;
        return (
          CANONICAL.test(canonical.path) &&
          /^\/[\x21-\x7e]*$/.test(canonical.path) &&
          !/[\\?#]|\/\/|\/\.\.?(\/|$)/.test(canonical.path) &&
          !/%(?![0-9A-F]{2})|%2[EeD]|%5[Cc]|%00|%3F|%23/.test(canonical.path)
        );
      }),
      { numRuns: runs(5_000) },
    );
    t.end();
  },
);

t.test(
  'of a marked path every reading leads to the rule that was matched, or the request is refused',
  async (t) => {
    const admin = stub('/admin(?:/.*)?');
    const open = stub('/.*');
    const rules = [admin, open];
    const table = {
      version: 1,
      rules,
      find: (_host: string, _method: string, path: string) => rules.find(({ pattern }) => pattern.test(path)),
    } as unknown as RuleTable;
    const fields = readFields(['Host', 'h'], '1.1');
    if ('refused' in fields) throw new Error('fields');
    const services = {
      introspect: () => {
        throw new Error('nobody asks');
      },
      ...noRemote,
      now: () => 0,
    };
    fc.assert(
      fc.property(quarrelsome, (path) => {
        const target = canonicalTarget(path, 'h');
        if ('refused' in target) return true;
        const decision = decide({ table, method: 'GET', target, fields, services });
        if (decision instanceof Promise || !decision.allowed) return true;
        return readings(target).every((reading) =>
          reading === undefined ? false : table.find('h', 'GET', reading) === decision.rule,
        );
      }),
      { numRuns: runs(5_000) },
    );
    const allowed = (path: string): boolean => {
      const decision = decide({
        table,
        method: 'GET',
        target: canonicalTarget(path, 'h') as Target,
        fields,
        services,
      });
      return !(decision instanceof Promise) && decision.allowed;
    };
    t.ok(allowed('/files/a%2Fb'), 'a slash kept in a segment');
    t.notOk(allowed('/x%2F..%2Fadmin'), 'an encoded way to another rule');
    t.notOk(allowed('/x/..%2Fadmin'));
    t.notOk(allowed('/%252e%252e/admin'), 'above the root on the second reading');
    t.notOk(allowed('/x/%252e%252e/admin'), 'another rule on the second reading');
    t.notOk(allowed('/admin;x'), 'a parameter that an upstream may cut off');
    t.notOk(allowed('/x/%252E%252E%252Fadmin'), 'dots and slash decoded one after the other');
    t.notOk(allowed('/x/%25252e%25252e/admin'), 'another rule on the third reading');
    t.notOk(allowed('/x/..;a%2Fadmin'), 'the slash decoded, then the parameter cut off');
    t.notOk(allowed('/x/..%3B%2Fadmin'), 'everything decoded, then the parameter cut off');
    t.notOk(allowed('/x/%252e%252e;/admin'), 'the parameter cut off, then the dots decoded');
    t.notOk(allowed('/x/..%253B/admin'), 'the semicolon decoded twice');
    t.notOk(allowed('/x/%255c..%255cadmin'), 'a backslash on the second reading');
    t.notOk(allowed('/x%2500'), 'a control character on the second reading');
    t.notOk(allowed(`/x/%25${'25'.repeat(40)}2e`), 'too many readings');
    t.notOk(allowed('/%EF%BD%81dmi%256E'), 'a letter folded and one decoded');
    t.ok(allowed('/a%25b%22'));
    t.ok(allowed('/a%2541%22c'));
    t.ok(allowed('/a;v=1/b'));
    t.ok(allowed('/100%25'));
  },
);

function stub(path: string): { pattern: RegExp } {
  const allows = { encodedSlash: true, encodedPercent: true, semicolon: true, emptySegments: false };
  const strategies = [
    {
      handler: 'allow',
      requiredScopes: [],
      authenticate: () => ({ kind: 'allow', subject: { subject: '' } }),
    },
  ];
  return { id: path, pattern: new RegExp(`^(?:${path})$`), allows, strategies } as never;
}

t.test(
  'an escape has two hexadecimal digits, and a byte beyond ASCII the others of its character',
  async (t) => {
    const ascii = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));
    const isHex = (char: string): boolean => /[0-9A-Fa-f]/.test(char);
    for (const high of ascii) {
      const accepted = ascii.filter(
        (low) => !(isHex(high) && isHex(low)) && !('refused' in canonicalPath(`/%${high}${low}`)),
      );
      t.same(accepted, [], JSON.stringify(`%${high}`));
    }
    for (const path of [
      '/%',
      '/a%4',
      '/%e',
      '/%80',
      '/%BF',
      '/%FF',
      '/%C3',
      '/%C3a',
      '/%C3%',
      '/%E2%82',
      '/%F0%9F%92',
    ]) {
      t.ok('refused' in canonicalPath(path), path);
    }
    for (const path of ['/%C2%A1', '/%E0%A4%85', '/%E2%82%AC', '/%F0%9F%92%A1'])
      t.same(canonicalPath(path.toLowerCase()), { path, marks: 0, escaped: true }, path);
  },
);

t.test('a target that is no path names its scheme at the beginning', async (t) => {
  for (const raw of ['http://gate.example/x', 'HTTPS://gate.example/x'])
    t.match(canonicalTarget(raw, 'gate.example'), { host: 'gate.example', path: '/x' }, raw);
  for (const raw of ['xhttp://gate.example/x', ' http://gate.example/x', 'x/http://gate.example/', '*', 'x'])
    t.ok('refused' in canonicalTarget(raw, 'gate.example'), raw);
});

t.test('no character that nobody sees is in a path, whatever Unicode calls it', async (t) => {
  const unseen = /^[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]$/u;
  // Not assigned yet, or of private use: they may be letters.
  const unknown = /^[\p{Cn}\p{Co}]$/u;
  const ignorable = /^\p{Default_Ignorable_Code_Point}$/u;
  const taken: string[] = [];
  let refused = 0;
  for (let code = 0x80; code <= 0x10ffff; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const character = String.fromCodePoint(code);
    if (!unseen.test(character) || (unknown.test(character) && !ignorable.test(character))) continue;
    const { path } = canonicalPath(`/admin${encodeURIComponent(character)}`) as { path?: string };
    if (path === undefined) refused++;
    else taken.push(`U+${code.toString(16)}`);
  }
  t.strictSame(taken, []);
  t.ok(refused > 4_000, `${refused} characters refused`);
});

t.test('marks name what the path carries', async (t) => {
  t.equal((canonicalPath('/a%2fb') as { marks: number }).marks, MARK.encodedSlash);
  t.equal((canonicalPath('/a%25b') as { marks: number }).marks, MARK.encodedPercent);
  t.equal((canonicalPath('/a;b') as { marks: number }).marks, MARK.semicolon);
  t.equal((canonicalPath('/a%3Bb') as { marks: number }).marks, MARK.semicolon);
  t.same(canonicalPath('//a///b/'), { path: '/a/b/', marks: 0, escaped: false, unmerged: '//a///b/' });
});
