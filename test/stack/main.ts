import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { PortTaken } from './listener.js';
import { HOSTS, PORTS, type Ports, startStack } from './stack.js';
import { tutorial } from './tutorial.js';

/** The option and the variable for each port. */
const CHOICES: Readonly<
  Record<keyof Ports, { readonly option: string; readonly variable: string; readonly what: string }>
> = {
  gateway: { option: 'port', variable: 'STACK_PORT', what: 'the gateway, TLS' },
  admin: { option: 'admin-port', variable: 'STACK_ADMIN_PORT', what: "the gateway's admin listener" },
  hydra: { option: 'hydra-port', variable: 'STACK_HYDRA_PORT', what: 'the authorization server, public' },
  hydraAdmin: {
    option: 'hydra-admin-port',
    variable: 'STACK_HYDRA_ADMIN_PORT',
    what: 'the authorization server, admin',
  },
  httpbin: { option: 'httpbin-port', variable: 'STACK_HTTPBIN_PORT', what: 'the HttpBin' },
  function: { option: 'function-port', variable: 'STACK_FUNCTION_PORT', what: 'the Function' },
};

const NAMES = Object.keys(CHOICES) as (keyof Ports)[];

const HELP = `Usage: npm start [-- OPTIONS]

Runs the tutorial on this machine: an authorization server with Hydra's wire interface, an HttpBin, a Function, and
the gateway over TLS in front of them. Prints the commands to try. Ctrl-C ends everything.

Options (or variables); 0 takes a free port:
${NAMES.map((name) => {
  const { option, variable, what } = CHOICES[name];
  return `  --${`${option} N`.padEnd(20)}${variable.padEnd(24)}${what} (${PORTS[name]})`;
}).join('\n')}
  --quiet             do not print the gateway's log
  -h, --help          print this
`;

/** Wrong usage, as a sentence. */
class UsageError extends Error {}

function readOptions(): { ports: Ports; quiet: boolean; help: boolean } {
  const options = Object.fromEntries(
    NAMES.map((name) => [CHOICES[name].option, { type: 'string' as const }]),
  );
  let values: Record<string, string | boolean | undefined>;
  try {
    const all = {
      ...options,
      quiet: { type: 'boolean' as const },
      help: { type: 'boolean' as const, short: 'h' },
    };
    values = parseArgs({ options: all }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const ports = NAMES.map((name) => {
    const { option, variable } = CHOICES[name];
    const text = values[option] ?? process.env[variable] ?? String(PORTS[name]);
    const port = /^\d{1,5}$/.test(String(text)) ? Number(text) : Number.NaN;
    if (!(port <= 65_535)) throw new UsageError(`--${option} (or ${variable}) must be a port, not "${text}"`);
    return [name, port];
  });
  return {
    ports: Object.fromEntries(ports) as Ports,
    quiet: values.quiet === true,
    help: values.help === true,
  };
}

/** curl finds `*.localhost` on loopback itself since 7.78; an older one is told where they are. */
function curlOptions(port: number): string {
  try {
    const [, major, minor] =
      /^curl (\d+)\.(\d+)/.exec(execFileSync('curl', ['--version'], { encoding: 'utf8' })) ?? [];
    if (Number(major) > 7 || (Number(major) === 7 && Number(minor) >= 78)) return '';
  } catch {
    // Without a curl there is nothing to paste into; the options do no harm.
  }
  return HOSTS.map((host) => `--resolve ${host}:${port}:127.0.0.1`).join(' ');
}

async function main(): Promise<void> {
  const { ports, quiet, help } = readOptions();
  if (help) {
    process.stdout.write(HELP);
    return;
  }
  // A signal during the start is remembered, so that what has started is ended in order.
  let ended = false;
  const end = new Promise<void>((resolve) => {
    const onSignal = () => {
      if (ended) process.exit(130);
      ended = true;
      resolve();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  });

  let printLog = false;
  const stack = await startStack({
    ports,
    onLog: (line) => {
      if (printLog) process.stdout.write(`${line}\n`);
    },
    howToChoose: (port) => {
      const { option, variable } = CHOICES[port];
      return `End what listens there, or choose another: npm start -- --${option} N (or ${variable}=N; 0 takes a free port).`;
    },
  });
  if (!ended) {
    const extra = curlOptions(stack.port);
    const steps = tutorial(stack, extra).map(
      ({ says, command, status }) => `# ${says}: ${status}\n${command}\n`,
    );
    process.stdout.write(`
The tutorial is running. Paste these into another terminal, one by one; the status to expect stands above each.

${steps.join('\n')}
# The certificate's authority, to use --cacert instead of -k: ${stack.caFile}
# The gateway's admin port: ${stack.urls.admin}/health/ready
# Hydra's admin port:       ${stack.authorizationServer.adminUrl}/admin/clients

Ctrl-C ends everything.${quiet ? '' : " The gateway's log follows, one line a decision."}
`);
    printLog = !quiet;
  }
  await end;
  printLog = false;
  await stack.close();
}

try {
  await main();
} catch (error) {
  if (error instanceof PortTaken || error instanceof UsageError) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  } else throw error;
}
