import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Statement, statements } from '../conformance/statements.js';
import { root } from '../root.js';

/** The statements that nothing here meets, each with why; `docs/conformance.md` says so. */
export const GAPS: Readonly<Record<string, string>> = {};

/** What the statements do not speak of, and somebody who reads an RFC might expect. */
const LIMITS: Readonly<Record<string, readonly string[]>> = {
  'RFC 6750': [
    'scopegate reads a form (section 2.2) only if the rule asks for it, if its length is declared and at most 16 KiB, and if the client does not hold it back with `Expect: 100-continue`. A token in any other form does not count.',
    'A proxy that asks for decisions sends no body, so a token in a form does not count there.',
    'scopegate accepts a token in the query only if the rule says `token_from`, and removes it before it forwards the request. RFC 9700 section 4.3.2 advises against it.',
  ],
  'RFC 8705': [
    'No option makes the gateway ignore a binding (R8705-05).',
    'Only the binding of tokens (section 3) concerns the protected resource. The settings of the listener say which authorities are trusted.',
  ],
  'RFC 9449': [
    'Several gateways for one host accept a proof once between them if they share a store ([auth/introspection/shared-cache.test.ts](../test/auth/introspection/shared-cache.test.ts)); without one, or while it does not answer, a proof could be used once at each of them, unless `proof.dpop.replays` is `required`.',
    'If a proxy in front removes a prefix from the path, every proof is for another URI. `Forwarded` (RFC 7239) is not read for scheme and host; `X-Forwarded-Proto` and `-Host` are.',
    'scopegate knows a binding in `cnf`, at the top or in Ory Hydra’s `ext`, and in no other claim.',
  ],
  'RFC 9470': [
    'Values of `acr` have no order here: a rule lists each one that is enough.',
    'The login application decides which claims it writes. In Hydra’s answers, scopegate looks for `acr` and `auth_time` in `ext` as well.',
  ],
  'RFC 9701': [
    'The gateway publishes no `introspection_signed_response_alg` and no `introspection_encrypted_response_alg` of its own: they are configured at the authorization server.',
  ],
  'RFC 9728': [
    'No `signed_metadata` (section 2.2), no names in several languages (section 2.1), no keys of the resource (`jwks_uri`): it signs and decrypts nothing.',
    '`authorization_servers` is what the settings say; scopegate does not check that they exist.',
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

This page lists the statements of each specification that concern a protected resource or a proxy, with the test that shows each of them. A
statement without a test is a gap, and the page says so. "Defence" marks checks beyond the specification. \`npm test\` runs all of them.`;

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
    ...(limits.length === 0 ? [] : ['', 'Limits:', '', ...limits.map((limit) => `- ${limit}`)]),
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
