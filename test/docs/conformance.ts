import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Statement, statements } from '../conformance/statements.js';
import { root } from '../root.js';

/** The statements that nothing here meets, each with why; `docs/conformance.md` says so. */
export const GAPS: Readonly<Record<string, string>> = {};

/** What the statements do not speak of, and somebody who reads an RFC might expect. */
const LIMITS: Readonly<Record<string, readonly string[]>> = {
  'RFC 6750': [
    'A form (section 2.2) is looked into only where a rule asks for it, and only where its length is declared, 16 KiB at most, and not held back with `Expect: 100-continue`; a token in any other is none.',
    'A proxy that asks for decisions sends no body: a token in a form is none there.',
    'A token in the query is taken only where a rule says `token_from`, and taken out of what is forwarded. RFC 9700 section 4.3.2 advises against it.',
  ],
  'RFC 8705': [
    'No option makes the gateway ignore a binding (R8705-05).',
    'Only the binding of tokens (section 3) is a matter of the protected resource. Whether a certificate comes from a trusted authority is the listener’s to say, not the token’s.',
  ],
  'RFC 9449': [
    'Several gateways for one host take a proof once between them where they share a store ([auth/introspection/shared-cache.test.ts](../test/auth/introspection/shared-cache.test.ts)); without one, or while it does not answer, a proof could be used once at each of them, unless `proof.dpop.replays` is `required`.',
    'A proxy in front that takes a prefix off the path makes every proof one for another URI. `Forwarded` (RFC 7239) is not read for scheme and host; `X-Forwarded-Proto` and `-Host` are.',
    'A binding is known in `cnf`, at the top or in Ory Hydra’s `ext`; one in another claim of a server’s own is not.',
  ],
  'RFC 9470': [
    'Values of `acr` have no order here: a rule lists each one that is enough.',
    'Which claims a login application writes is its own affair; in Hydra’s answers `acr` and `auth_time` are looked for in `ext` as well.',
  ],
  'RFC 9701': [
    'The gateway publishes no `introspection_signed_response_alg` and no `introspection_encrypted_response_alg` of its own: they are configured at the authorization server.',
  ],
  'RFC 9728': [
    'No `signed_metadata` (section 2.2), no names in several languages (section 2.1), no keys of the resource (`jwks_uri`): it signs and decrypts nothing.',
    '`authorization_servers` is what the settings say; nobody checks that they exist.',
  ],
};

/** The file of the test that names each statement. */
export function proofs(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    // Those that are about conformance come first.
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  for (const name of files) {
    const file = `test/${name.replaceAll('\\', '/')}`;
    for (const [, id = ''] of readFileSync(join(root, file), 'utf8').matchAll(
      /(?<=['" ])(R\d{4}-\d{2})(?=[' ])(?!',)/g,
    )) {
      if (!found.has(id)) found.set(id, file);
    }
  }
  return found;
}

function rank(name: string): number {
  return name.includes('conformance') ? 0 : 1;
}

/**
 * The page about what is conformed to, docs/conformance.md: each statement with the test that shows it.
 *
 * @returns the whole page in Markdown
 */
export function conformancePage(): string {
  const places = proofs();
  const rfcs = [...new Set(statements.map(({ rfc }) => rfc))].sort();
  const sections = rfcs.map((rfc) =>
    section(
      rfc,
      statements.filter((statement) => statement.rfc === rfc),
      places,
    ),
  );
  return `${[INTRODUCTION, ...sections].join('\n\n')}\n`;
}

const INTRODUCTION = `# What scopegate conforms to

<!-- Made from test/docs/conformance.ts and the tests by \`npm run docs\`; a test keeps the page and the tests the same. -->

The statements of each specification that concern a protected resource or a proxy, one by one, and the test that shows each of
them. A statement without a test is a gap, and says so. "Defence" is what the specification does not demand and an attacker would
miss. \`npm test\` runs them all.`;

function section(rfc: string, all: readonly Statement[], places: ReadonlyMap<string, string>): string {
  const rows = all.map(({ id, section: where, level, given, when, then }) => {
    const text = [given, when, then].map((part) => part.trim()).filter((part) => part !== '');
    return `| ${id} | ${cell(where)} | ${cell(level)} | ${cell(text.join(' → '))} | ${shown(places.get(id), GAPS[id])} |`;
  });
  const met = all.filter(({ id }) => places.has(id)).length;
  const limits = LIMITS[rfc] ?? [];
  return [
    `## ${rfc}`,
    '',
    `${met} of ${all.length} shown.`,
    '',
    '| statement | section | level | given → when → then | shown by |',
    '|---|---|---|---|---|',
    ...rows,
    ...(limits.length === 0 ? [] : ['', 'And:', '', ...limits.map((limit) => `- ${limit}`)]),
  ].join('\n');
}

function shown(file: string | undefined, gap: string | undefined): string {
  if (file === undefined) return `**gap**: ${gap ?? 'nobody knows'}`;
  return `[${file.replace(/^test\//, '')}](../${file})`;
}

/** Plain words inside a table's cell. */
function cell(text: string): string {
  return text.replace(/[*_<>[\]\\|]/g, '\\$&').replaceAll('\n', ' ');
}
