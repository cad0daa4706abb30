import { execFileSync } from 'node:child_process';
import { prettyLog } from '../../src/observe/pretty.js';
import { PortTaken } from './listener.js';
import { help, howToChoose, readOptions, UsageError } from './options.js';
import { HOSTS, startStack } from './stack.js';
import { tutorial } from './tutorial.js';

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

/**
 * Calls back when the parent is gone. npm passes SIGTERM to the shell between it and this process, and the shell keeps
 * it to itself: without this, ending npm would leave everything running.
 */
function onOrphaned(orphaned: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    orphaned();
  }, 500);
  timer.unref();
}

async function main(): Promise<void> {
  const { ports, quiet, help: asked } = readOptions(process.argv.slice(2), process.env);
  if (asked) {
    process.stdout.write(help);
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
    if (process.env.npm_lifecycle_event !== undefined) onOrphaned(onSignal);
  });

  process.stdout.write('Starting Hydra, HttpBin, a Function and scopegate …\n');
  let printLog = false;
  const lines = { write: (line: string) => void process.stdout.write(`${line.trimEnd()}\n`) };
  const { stdout } = process;
  const log = stdout.isTTY ? prettyLog(lines, stdout.hasColors()) : lines;
  const stack = await startStack({
    ports,
    onLog: (line) => {
      if (printLog) log.write(line);
    },
    howToChoose,
  });
  if (!ended) {
    const extra = curlOptions(stack.port);
    const steps = tutorial(stack, extra).map(
      ({ says, command, status }) => `# ${says}: ${status}\n${command}\n`,
    );
    const variables = Object.entries({
      HTTPBIN: stack.urls.httpbin,
      ACCESS_TOKEN_READ: stack.tokens.read,
      ACCESS_TOKEN_WRITE: stack.tokens.write,
      ADMIN: stack.urls.admin,
    })
      .map(([name, value]) => `export ${name}=${value}`)
      .join('\n');
    process.stdout.write(`
The tutorial is running. Paste these lines into another terminal. The commands of the README use them:

${variables}

Then paste these commands, one by one; the status to expect stands above each.

${steps.join('\n')}
# The certificate's authority, to use --cacert instead of -k: ${stack.caFile}
# The gateway's admin page: ${stack.urls.admin}/
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
