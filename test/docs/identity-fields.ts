import { IDENTITY_TABLE, type IdentityFamily, type StatementKind } from '../../src/proxy/identity-table.js';

/** What each kind of field states, in the order of the page. */
const KINDS: Readonly<Record<StatementKind, string>> = {
  user: 'Who the user or the client is',
  certificate: 'Which certificate the client has shown',
  address: 'Where the request comes from',
  routing: 'Which host, path or scheme was asked for',
  method: 'Which method is meant',
  framework: 'What a program or a framework takes for its own',
};

/**
 * The page of identity fields, docs/identity-fields.md, made from the table by which they are removed.
 *
 * @returns the whole page in Markdown
 */
export function identityFieldsPage(): string {
  const sections = (Object.keys(KINDS) as StatementKind[]).map((kind) =>
    section(
      KINDS[kind],
      IDENTITY_TABLE.filter((family) => family.kind === kind),
    ),
  );
  return `${[INTRODUCTION, ...sections, SETTINGS].join('\n\n')}\n`;
}

const INTRODUCTION = `# Identity fields

<!-- Made from src/proxy/identity-table.ts by \`npm run docs\`; a test keeps the two the same. -->

Upstreams believe some request fields because a proxy in front of them is thought to have set them. scopegate removes these fields
from every request, on every rule and with every handler. Then it sets its own fields and those of the
[mutators](rules.md#mutators) of the rule.

- A name is removed in any case and in every spelling that an upstream may take for it: \`X_User\` and \`X.User\` as \`X-User\`. Any other
  name with an underscore is removed as well, because CGI and WSGI read it as one with a hyphen.
- \`*\` stands for any end of the name.
- Of \`trustedProxies\`, \`X-Forwarded-For\`, \`X-Forwarded-Host\`, \`X-Forwarded-Proto\` and \`Forwarded\` are continued, and \`X-Forwarded-Port\` and
  \`X-Forwarded-Prefix\` pass. Everything else in the tables is removed from their requests, too.
- Fields in which clients send their own credential (\`X-Api-Key\`, \`X-Auth-Token\`, \`X-Access-Token\`) pass.`;

const SETTINGS = `## More, or fewer

\`\`\`yaml
forward:
  identityFields:
    remove: [ X-Acme-*, X-Tenant ]
    keep: [ Cf-Connecting-Ip ]
\`\`\`

\`remove\` adds fields, \`keep\` lets fields pass; a name may end in \`*\`. Of the entries of both lists that hold a name, the most specific
decides: a whole name before a beginning, a longer beginning before a shorter one. They go before the tables. A field that is kept
passes from **every** client and in this spelling alone: keep only what the proxy in front overwrites in each request, or what the
upstream does not believe. The log says at every start which fields are kept. What mutators state is never taken from a client,
kept or not.`;

function section(heading: string, families: readonly IdentityFamily[]): string {
  const rows = families.map(
    ({ family, fields, except = [], believedBy, source }) =>
      `| [${family}](${source}) | ${codes(fields)}${except.length === 0 ? '' : `, but not ${codes(except)}`} | ${believedBy} |`,
  );
  return [`## ${heading}`, '', '| family | fields | believed by |', '|---|---|---|', ...rows].join('\n');
}

function codes(fields: readonly string[]): string {
  return fields.map((field) => `\`${field}\``).join(', ');
}
