import { variableName } from '../../src/config/environment.js';
import { type Leaf, leaves, settingsSchema } from '../../src/config/schema.js';

/**
 * The reference of the settings, docs/settings.md, made from the JSON Schema that validates them.
 *
 * @returns the whole page in Markdown
 */
export function settingsPage(): string {
  const all = leaves();
  const sections = Object.keys(settingsSchema.properties ?? {}).map((name) =>
    section(
      name,
      all.filter(({ path }) => path[0] === name),
    ),
  );
  return `${[INTRODUCTION, ...sections].join('\n\n')}\n`;
}

const INTRODUCTION = `# Settings

<!-- Made from src/config/schema.ts by \`npm run docs\`; a test keeps the two the same. -->

${settingsSchema.description} It is YAML or JSON. scopegate validates it as a whole: an unknown key, a wrong type or a value out of
range is an error with file, line and column, and scopegate does not start. This prints the schema:

\`\`\`sh
scopegate schema
\`\`\`

- **Changes.** scopegate reads settings at the start only: restart it after a change. It reads rules, certificates and secrets again by itself.
- **Environment.** Each setting has an environment variable that overrides it. Write a list or a map there as YAML or JSON
  (\`SCOPEGATE_RULES='[./rules]'\`). A variable that begins with \`SCOPEGATE_\` and names no setting is an error, so that a typo cannot
  leave a default in force.
- **Durations** are written \`500ms\`, \`2s\`, \`5m\` or \`1h\`.
- **Paths** are relative to the folder of the settings file.
- **Files** are UTF-8: settings, rules, secrets and keys. Another encoding is an error at start. A byte order mark at the beginning is not part
  of the content. Certificates may have comments in any encoding.

The smallest file that works:

\`\`\`yaml
rules: [ ./rules ]
introspection:
  url: http://hydra:4445/admin/oauth2/introspect
\`\`\``;

function section(name: string, leaves: readonly Leaf[]): string {
  const about = settingsSchema.properties?.[name];
  const rows = leaves.map(
    (leaf) =>
      `| \`${leaf.path.join('.')}\` | ${fallback(leaf)} | ${meaning(leaf)} | \`${variableName(leaf.path)}\` |`,
  );
  const lead = about?.properties === undefined ? [] : [prose(about.description), ''];
  return [
    `## ${name}`,
    '',
    ...lead,
    '| setting | default | meaning | environment variable |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n');
}

/** A default; a leaf without one is required, with its section or always, or off where it is absent. */
function fallback({ path, schema }: Leaf): string {
  if (schema.default !== undefined) return code(schema.default);
  let parent = settingsSchema;
  const required = path.map((step) => {
    const here = parent.required?.includes(step) === true;
    parent = parent.properties?.[step] ?? parent;
    return here;
  });
  if (required.every(Boolean)) return '**required**';
  return required.at(-1) === true ? 'required with its section' : '–';
}

function meaning({ schema }: Leaf): string {
  const values =
    schema.enum === undefined ? '' : ` One of ${schema.enum.map((value) => `\`${value}\``).join(', ')}.`;
  const { minimum, maximum } = schema;
  const bounded = maximum !== undefined && maximum < 2_147_483_647;
  const range =
    minimum === undefined
      ? ''
      : bounded
        ? ` ${minimum} to ${maximum}.`
        : minimum > 0
          ? ` At least ${minimum}.`
          : '';
  return prose(schema.description) + values + range;
}

function code(value: unknown): string {
  return `\`${cell(typeof value === 'string' ? value : JSON.stringify(value))}\``;
}

/** Plain words, safe from Markdown and from HTML. */
function prose(text: string): string {
  return cell(text.replace(/[*_<>]/g, '\\$&'));
}

/** Text inside a table's cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
