import { AUDIT_FIELDS, AUDIT_VERSION, type AuditField } from '../../src/observe/audit.js';

/**
 * The reference of the audit line, docs/audit.md, made from the schema in the code.
 *
 * @returns the whole page in Markdown
 */
export function auditPage(): string {
  const rows = Object.entries(AUDIT_FIELDS).map(
    ([name, field]) =>
      `| \`${name}\` | ${field.type} | ${field.always === true ? 'always' : 'where it applies'} | ${meaning(field)} |`,
  );
  return `${INTRODUCTION}\n${rows.join('\n')}\n`;
}

function meaning({ meaning, values }: AuditField): string {
  if (values === undefined) return meaning;
  return `${meaning} ${values.length === 1 ? 'Always' : 'One of'} ${values.map((value) => `\`${value}\``).join(', ')}.`;
}

const INTRODUCTION = `# The audit line

<!-- Made from src/observe/audit.ts by \`npm run docs\`; a test keeps the two the same. -->

One line of JSON on standard output for every decision, once its request is over. It holds no token, no query, no header
field's value and no body. This is version ${AUDIT_VERSION} of the schema, and every line says so in \`audit\`: the number grows when a
field changes its meaning or is removed. New fields may come at any time. Lines without \`audit\` are about scopegate itself.

\`\`\`json
{"level":30,"time":1700000000000,"name":"scopegate","audit":1,"entrance":"proxy","request_id":"0b9f…","peer":"10.0.0.7","method":"GET","host":"httpbin.example.com","path":"/headers","rule":"default/httpbin#0","decision":"deny","error":"insufficient_scope","reason":"the token lacks a required scope","subject":"4f1c…","client_id":"4f1c…","introspection":"hit","introspection_ms":0,"decision_ms":0.11,"status":403,"ms":0.24,"msg":"decision"}
\`\`\`

- [\`log.audit\`](settings.md#log) turns the lines off, and \`log.sampleAllowed\` keeps a share of the lines of requests
  that were allowed and succeeded. It leaves out none of a
  denied or failed request. Lines of every kind are dropped while nobody reads them (below).
- \`log.pretty\` writes lines for people instead, and is on at a terminal. \`log.levels\` and \`log.times\` write \`info\` and RFC 3339 times.
- scopegate never waits for the reader of the lines. It buffers up to a few megabytes for a slow reader. After that, or if the
  reader is gone or the disk is full, it drops lines, and \`scopegate_log_lines_dropped_total\` at \`/metrics\` counts them.
  \`/status\` and the admin page show it meanwhile, and once there is room again a line of level \`warn\` says how many are missing (\`lines\`).
- Requests that scopegate refuses because of [overload](operations.md#overload), before it reads them, have no line each. Every
  second one line with \`"msg":"overloaded"\` says how many they were (\`requests\`), at which \`entrance\`, and why (\`cause\`:
  \`in_flight\` or \`event_loop\`).

| field | type | present | meaning |
|---|---|---|---|`;
