import { settingsSchema } from '../config/schema.js';
import { type Io, readArgs } from './command.js';

export const help = `Usage: scopegate schema

Prints the JSON Schema (draft-07) of the settings file: every setting with its
description, limits and default. An editor with YAML support can use it to
complete and check a settings file:

  # yaml-language-server: $schema=./settings.schema.json

Options:
  -h, --help  print this help

Exit code:
  0  done
  2  bad usage

Example:
  scopegate schema > settings.schema.json
`;

/** The schema of the settings file as text, as the command prints it and as the package ships it. */
export function schemaText(): string {
  return `${JSON.stringify(settingsSchema, null, 2)}\n`;
}

/**
 * `scopegate schema`: prints the JSON Schema of the settings file.
 *
 * @returns the exit code
 * @throws UsageError for invalid arguments
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  readArgs(args, {});
  io.out(schemaText());
  return 0;
}
