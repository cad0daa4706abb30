import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { canonicalTarget } from '../../src/parse/target.js';
import { apiRule, startTestGateway } from '../gateway.js';
import { root } from '../root.js';
import { sendRaw } from '../wire.js';

/** One row of docs/paths.md. */
interface Row {
  readonly option: string;
  readonly input: string;
  readonly matched: string;
  readonly sent: string;
  readonly rule: string;
}

const OPTIONS = ['encodedSlash', 'encodedPercent', 'semicolon', 'emptySegments'];
/** The sections about a rewritten path, with the rule that each is about. */
const REWRITES: Readonly<Record<string, { path: string; scopegate: object }>> = {
  stripPath: {
    path: '/api.*',
    scopegate: { stripPath: '/api', encodedSlash: 'keep', emptySegments: 'keep' },
  },
  upstreamPath: { path: '/api/.*', scopegate: { stripPath: '/api', upstreamPath: '/v1' } },
};
const rows = readRows(readFileSync(join(root, 'docs/paths.md'), 'utf8'));

t.test('docs/paths.md has rows for no option and for each one', async (t) => {
  for (const option of ['', ...OPTIONS]) {
    const of = rows.filter((row) => row.option === option);
    t.ok(of.some(({ matched }) => matched !== '400') && of.some(({ matched }) => matched === '400'), option);
  }
});

for (const option of ['', ...OPTIONS]) {
  t.test(`every row of docs/paths.md ${option === '' ? 'without options' : `for ${option}`}`, async (t) => {
    const scopegate = option === '' ? {} : { scopegate: { [option]: 'keep' } };
    const gate = await startTestGateway(t, {
      rules: apiRule('gate.example', [
        { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'allow' }], ...scopegate },
        { path: '/admin(/.*)?', methods: ['GET'], accessStrategies: [{ handler: 'noop' }] },
      ]),
    });
    for (const row of rows.filter((one) => one.option === option)) {
      gate.upstream.received.length = 0;
      gate.log.length = 0;
      const { answers } = await sendRaw(
        gate.port,
        Buffer.from(`GET ${row.input} HTTP/1.1\r\nHost: gate.example\r\n\r\n`, 'latin1'),
      );
      const sent = gate.upstream.received.map(({ url }) => url);
      if (row.matched === '400') {
        t.equal(answers[0]?.status, 400, `${row.input} is refused`);
        t.same(sent, [], `${row.input} is not sent`);
        t.same([row.sent, row.rule], ['–', '–']);
        continue;
      }
      t.equal(answers[0]?.status, 200, `${row.input} is let through`);
      t.match(canonicalTarget(row.input, 'gate.example'), { path: row.matched }, `${row.input} is matched`);
      t.same(sent, [row.sent], `${row.input} is sent`);
      const audited = gate.log.find((line) => line.msg === 'decision');
      t.equal(
        audited?.rule,
        row.rule === 'admin' ? 'default/gate#1' : 'default/gate#0',
        `${row.input}: its rule`,
      );
    }
  });
}

for (const [option, { path, scopegate }] of Object.entries(REWRITES)) {
  t.test(`every row of docs/paths.md for ${option}`, async (t) => {
    const gate = await startTestGateway(t, {
      rules: apiRule('gate.example', [
        { path, methods: ['GET'], accessStrategies: [{ handler: 'allow' }], scopegate },
        { path: '/admin(/.*)?', methods: ['GET'], accessStrategies: [{ handler: 'noop' }] },
      ]),
    });
    const of = rows.filter((row) => row.option === option);
    t.ok(of.length > 3);
    for (const row of of) {
      gate.upstream.received.length = 0;
      gate.log.length = 0;
      const { answers } = await sendRaw(
        gate.port,
        `GET ${row.input} HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n`,
      );
      const sent = gate.upstream.received.map(({ url }) => url);
      if (row.matched === '400' || row.matched === '404') {
        t.equal(answers[0]?.status, Number(row.matched), row.input);
        t.same(sent, [], `${row.input} is not sent`);
        continue;
      }
      t.equal(answers[0]?.status, 200, row.input);
      t.same(sent, [row.sent], `${row.input} is sent`);
      const audited = gate.log.find((line) => line.msg === 'decision');
      t.match(audited, { upstream_path: row.sent.replace(/\?.*/, '') });
    }
  });
}

t.test('an option holds for its rule alone, and all of them stand together', async (t) => {
  const keep = Object.fromEntries(OPTIONS.map((option) => [option, 'keep']));
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      { path: '/kept/.*', methods: ['GET'], accessStrategies: [{ handler: 'allow' }], scopegate: keep },
      { path: '/plain/.*', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
    ]),
  });
  const status = async (path: string): Promise<number | undefined> =>
    (await sendRaw(gate.port, `GET ${path} HTTP/1.1\r\nHost: gate.example\r\n\r\n`)).answers[0]?.status;
  for (const path of ['/a%2Fb', '/100%25', '/a;b=c', '/a%2Fb;c%25/d']) {
    t.equal(await status(`/kept${path}`), 200, path);
    t.equal(await status(`/plain${path}`), 400, path);
  }
  gate.upstream.received.length = 0;
  t.equal(await status('/kept//a%2Fb;c//100%25'), 200);
  t.equal(gate.upstream.received[0]?.url, '/kept//a%2Fb;c//100%25');
  t.equal(await status('/kept/..%2Fplain/a'), 400, 'a way into the other rule');
  t.equal(await status('/kept/..%2Fnone'), 400, 'a way out of every rule');
  t.equal(await status('/none%2Fa'), 400, 'no rule, no option');
});

function readRows(page: string): Row[] {
  const found: Row[] = [];
  let option = '';
  for (const line of page.split('\n')) {
    const heading = /^#+ (.*)$/.exec(line)?.[1];
    if (heading !== undefined) option = OPTIONS.includes(heading) || heading in REWRITES ? heading : '';
    const cells = line.split('|').map((cell) => cell.trim().replace(/^`(.*)`$/, '$1'));
    if (cells.length !== 7 || cells[1] === 'input' || cells[1] === '---') continue;
    const [, input = '', matched = '', sent = '', rule = ''] = cells;
    found.push({ option, input, matched, sent, rule });
  }
  return found;
}
