import { settingsSchema } from '../config/schema.js';
import { type Io, readArgs } from './command.js';

export const help = `Usage: scopegate schema

Prints the JSON Schema (draft-07) of the settings file: every setting with its
meaning, its bounds and its default. Editors that speak YAML complete and check
a settings file with it:

  # yaml-language-server: $schema=./settings.schema.json

Options:
  -h, --help  print this help

Exit code:
  0  always
  2  bad usage

Example:
  scopegate schema > settings.schema.json
`;

/** The schema as it is printed and shipped. */
export function schemaText(): string {
  return `${JSON.stringify(settingsSchema, null, 2)}\n`;
}

/** `scopegate schema`: the JSON Schema of the settings file. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  readArgs(args, {});
  io.out(schemaText());
  return 0;
}
