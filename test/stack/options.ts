import { parseArgs } from 'node:util';
import { PORTS, type Ports } from './stack.js';

/** The option and the variable for each port, and what listens on it. */
const CHOICES: Readonly<Record<keyof Ports, readonly [option: string, variable: string, what: string]>> = {
  gateway: ['port', 'STACK_PORT', 'the gateway, TLS'],
  admin: ['admin-port', 'STACK_ADMIN_PORT', "the gateway's admin listener"],
  hydra: ['hydra-port', 'STACK_HYDRA_PORT', 'the authorization server, public'],
  hydraAdmin: ['hydra-admin-port', 'STACK_HYDRA_ADMIN_PORT', 'the authorization server, admin'],
  httpbin: ['httpbin-port', 'STACK_HTTPBIN_PORT', 'the HttpBin'],
  function: ['function-port', 'STACK_FUNCTION_PORT', 'the Function'],
};

/** All parts that have a port. */
export const parts = Object.keys(CHOICES) as (keyof Ports)[];

/** What `--help` prints. */
export const help = `Usage: npm start [-- OPTIONS]

Runs the tutorial on this machine: an authorization server with Hydra's wire
interface, an HttpBin, a Function, and the gateway over TLS in front of them.
Prints the commands to try. Ctrl-C ends everything.

Options, or variables; 0 takes a free port:
${parts
  .map((part) => {
    const [option, variable, what] = CHOICES[part];
    return `  --${`${option} N`.padEnd(19)}${variable.padEnd(24)}${what} (${PORTS[part]})`;
  })
  .join('\n')}
  --quiet              do not print the gateway's log
  -h, --help           print this help
`;

/** Wrong usage, as a sentence. */
export class UsageError extends Error {}

/** What `npm start` is told. */
export interface Options {
  readonly ports: Ports;
  readonly quiet: boolean;
  readonly help: boolean;
}

/**
 * Reads the command line, and the environment where that is silent.
 *
 * @throws UsageError
 */
export function readOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Options {
  const values = parse(args);
  const ports = parts.map((part) => {
    const [option, variable] = CHOICES[part];
    const text = String(values[option] ?? environment[variable] ?? PORTS[part]);
    const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
    if (!(port <= 65_535)) throw new UsageError(`--${option} (or ${variable}) must be a port, not "${text}"`);
    return [part, port];
  });
  return {
    ports: Object.fromEntries(ports) as Ports,
    quiet: values.quiet === true,
    help: values.help === true,
  };
}

/** How to choose another port for a part, as a sentence. */
export function howToChoose(part: keyof Ports): string {
  const [option, variable] = CHOICES[part];
  return `End what listens there, or choose another: npm start -- --${option} N (or ${variable}=N; 0 takes a free port).`;
}

function parse(args: readonly string[]): Record<string, string | boolean | undefined> {
  const ports = Object.fromEntries(parts.map((part) => [CHOICES[part][0], { type: 'string' as const }]));
  const options = {
    ...ports,
    quiet: { type: 'boolean' as const },
    help: { type: 'boolean' as const, short: 'h' },
  };
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
