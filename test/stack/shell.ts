import { spawn } from 'node:child_process';

/** What a finished command left. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a line as a person would paste it into a shell. Asynchronous, so that servers in this process can answer. */
export async function shell(line: string): Promise<Finished> {
  return await finished(spawn('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** Runs curl with these arguments. `-i` is there already; no configuration file of the user's is read. */
export async function curl(...args: string[]): Promise<Answered> {
  return answered(await finished(spawn('curl', ['-q', '-si', '--max-time', '20', ...args])));
}

/** An HTTP answer as `curl -i` prints it. */
export interface Answered {
  readonly status: number;
  /** The header section, with its status line. */
  readonly head: string;
  readonly body: string;
}

/** Takes the last answer (after a `100 Continue`) from what `curl -i` printed. */
export function answered({ code, stdout, stderr }: Finished): Answered {
  if (code !== 0) throw new Error(`curl ended with ${code}: ${stderr}`);
  let rest = stdout;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    const head = rest.slice(0, end);
    const status = Number(/^HTTP\/[\d.]+ (\d{3})/.exec(head)?.[1]);
    rest = rest.slice(end + 4);
    if (status >= 200) return { status, head, body: rest };
    if (end === -1 || Number.isNaN(status)) throw new Error(`no HTTP answer: ${stdout.slice(0, 200)}`);
  }
}

async function finished(child: ReturnType<typeof spawn>): Promise<Finished> {
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  return { code, stdout, stderr };
}
