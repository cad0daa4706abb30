import { settingsSchema } from '../config/schema.js';
import { apiRuleEditorSchema } from '../rules/apirule/editor-schema.js';
import { casesSchema } from './cases-schema.js';
import { type Io, readArgs, UsageError } from './command.js';

export const help = `Usage: scopegate schema [settings | apirule | cases]

Prints a JSON Schema (draft-07). An editor uses it to complete and check a file
while you write it. The default is the schema of the settings:

  settings  the settings file: every setting with its limits and default
  apirule   APIRules of every version that scopegate reads, with the
            configuration of each handler and mutator
  cases     the tables of expectations that 'scopegate test' reads

The first line of a YAML file names its schema:

  # yaml-language-server: $schema=./settings.schema.json

Options:
  --no-color  no colours, also on a terminal
  -h, --help  print this help

Exit code:
  0  done
  2  bad usage

Example:
  scopegate schema apirule > apirule.schema.json
`;

/** The kinds of files that have a schema. */
export const SCHEMAS = {
  settings: () => settingsSchema as object,
  apirule: apiRuleEditorSchema as () => object,
  cases: (): object => ({
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Expectations for scopegate test',
    ...casesSchema,
  }),
} as const;

/** A schema as text, as the command prints it and as the package ships it. */
export function schemaText(name: keyof typeof SCHEMAS = 'settings'): string {
  return `${JSON.stringify(SCHEMAS[name](), null, 2)}\n`;
}

/**
 * `scopegate schema`: prints a JSON Schema.
 *
 * @returns the exit code
 * @throws UsageError for invalid arguments
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { positionals } = readArgs(args, {}, true);
  const [name = 'settings', ...more] = positionals;
  if (!Object.hasOwn(SCHEMAS, name) || more.length > 0) {
    throw new UsageError(
      `'${positionals.join(' ')}' has no schema: use one of ${Object.keys(SCHEMAS).join(', ')}`,
    );
  }
  io.out(schemaText(name as keyof typeof SCHEMAS));
  return 0;
}
