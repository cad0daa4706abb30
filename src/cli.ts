#!/usr/bin/env node
import { realpathSync } from 'node:fs';
import type { WriteStream } from 'node:tty';
import { fileURLToPath } from 'node:url';
import { type Command, type Io, UsageError } from './commands/command.js';
import { hasColours } from './document/colours.js';
import { nearest } from './document/nearest.js';
import { oneLine } from './document/one-line.js';
import type { Style } from './document/print.js';
import { MissingPackageError } from './model/lazy-require.js';
import { traceOf } from './observe/redaction.js';
import { version } from './observe/version.js';

/** The commands. Each is loaded only when it runs: `check` need not wait for the HTTP stack. */
const COMMANDS: Readonly<Record<string, { readonly summary: string; load(): Promise<Command> }>> = {
  serve: { summary: 'run the gateway', load: () => import('./commands/serve.js') },
  check: { summary: 'check settings and rules for errors', load: () => import('./commands/check.js') },
  explain: {
    summary: 'show which rule decides a request, and why',
    load: () => import('./commands/explain.js'),
  },
  test: {
    summary: 'compare decisions with a table of expectations',
    load: () => import('./commands/test.js'),
  },
  schema: {
    summary: 'print the JSON Schema of settings, APIRules or cases',
    load: () => import('./commands/schema.js'),
  },
  convert: {
    summary: 'write clean APIRules from a Kyma export or Oathkeeper rules',
    load: () => import('./commands/convert.js'),
  },
  clients: {
    summary: 'create or update Hydra clients from OAuth2Client manifests',
    load: () => import('./commands/clients.js'),
  },
};

const HELP = `Usage: scopegate COMMAND [OPTIONS]

An OAuth2 introspection reverse proxy. It reads Kyma APIRules, introspects bearer
tokens at Ory Hydra (RFC 7662), checks their scopes, and forwards requests to the
upstream.

Commands:
${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(9)}${summary}`)
  .join('\n')}

Options:
  -h, --help     print this help; after a command, the help of that command
  -V, --version  print the version
  --no-color     no colours, also on a terminal; every command has this option

Environment:
  NO_COLOR       no colours, if it is set
  FORCE_COLOR    colours everywhere, if it is empty, 1, 2, 3 or true; no colours if
                 it is something else. It overrides NO_COLOR, as in Node

Exit code:
  0  success
  1  failure: the command says which
  2  bad usage
`;

/**
 * Runs the command line.
 *
 * @param argv the arguments after the program's name
 * @returns the exit code: the command's own, 1 if a package is missing, 2 for bad usage
 * @throws any other error of the command
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const [name, ...args] = withoutNoColor(argv);
  try {
    if (name === '-h' || name === '--help' || name === 'help') {
      const topic = name === 'help' ? args[0] : undefined;
      io.out(topic === undefined ? HELP : (await find(topic)).help);
      return 0;
    }
    if (name === '-V' || name === '--version') {
      io.out(`${version}\n`);
      return 0;
    }
    if (name === undefined) throw new UsageError('a command is missing');
    const command = await find(name);
    if (asksForHelp(args)) {
      io.out(command.help);
      return 0;
    }
    return await command.run(args, io);
  } catch (error) {
    if (error instanceof MissingPackageError) {
      io.err(`scopegate: ${error.message}\n`);
      return 1;
    }
    if (!(error instanceof UsageError)) throw error;
    const topic = name !== undefined && Object.hasOwn(COMMANDS, name) ? `scopegate ${name}` : 'scopegate';
    io.err(`scopegate: ${oneLine(error.message)}\nTry '${topic} --help'.\n`);
    return 2;
  }
}

async function find(name: string): Promise<Command> {
  if (!Object.hasOwn(COMMANDS, name)) {
    const hint = nearest(name, Object.keys(COMMANDS));
    throw new UsageError(
      `no command is called "${name}"${hint === undefined ? '' : `; did you mean "${hint}"?`}`,
    );
  }
  return (COMMANDS[name] as (typeof COMMANDS)[string]).load();
}

const NO_COLOR = '--no-color';

/** The arguments before `--`, which ends the options. */
function optionsOf(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  return end < 0 ? argv : argv.slice(0, end);
}

/** The arguments without `--no-color`, which every command takes, before its name or after it. */
function withoutNoColor(argv: readonly string[]): readonly string[] {
  const options = optionsOf(argv);
  return [...options.filter((option) => option !== NO_COLOR), ...argv.slice(options.length)];
}

/** Whether the arguments ask for help. What follows `--` is not an option. */
function asksForHelp(args: readonly string[]): boolean {
  return optionsOf(args).some((arg) => arg === '-h' || arg === '--help');
}

/** Whether Node was started with this file, directly or through the link in `node_modules/.bin`. */
function isMain(): boolean {
  const [, script] = process.argv;
  return script !== undefined && realpathSync(script) === realpathSync(fileURLToPath(import.meta.url));
}

if (isMain()) {
  // A reader that closes the pipe (`| head`) must not crash the process.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const argv = process.argv.slice(2);
  const noColor = optionsOf(argv).includes(NO_COLOR);
  // Editors that run programs in a dumb terminal read their output.
  const isSmart = process.env.TERM !== 'dumb';
  const styleOf = (stream: WriteStream): Style => ({
    excerpts: stream.isTTY === true && isSmart,
    colours: !noColor && hasColours(stream, process.env),
  });
  const io: Io = {
    environment: process.env,
    terminal: process.stderr.isTTY === true && isSmart,
    styles: { out: styleOf(process.stdout), err: styleOf(process.stderr) },
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
  };
  // Set the exit code instead of exiting, so that Node still writes what is buffered for a pipe.
  process.exitCode = await main(argv, io).catch((error: unknown) => {
    const { name, code, stack } = traceOf(error);
    io.err(`scopegate: failed: ${code ?? name}\n${stack}\n`);
    return 1;
  });
}
