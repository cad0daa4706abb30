import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startTestGateway } from '../gateway.js';
import { available, SSLYZE } from '../require.js';
import { makeCertificate } from '../stack/certificate.js';

/**
 * What sslyze holds against ports, by the names it has for its checks; undefined where it says nothing of one.
 *
 * @param file for its result
 */
async function scan(
  t: Test,
  file: string,
  ports: readonly number[],
): Promise<(readonly string[] | undefined)[]> {
  const targets = ports.map((port) => `127.0.0.1:${port}`);
  const text = await new Promise<string>((resolve) => {
    // It exits with 1 where a port does not comply.
    execFile(
      SSLYZE,
      ['--mozilla_config=intermediate', `--json_out=${file}`, ...targets],
      { maxBuffer: 16_777_216 },
      (_error, stdout, stderr) => resolve(stdout + stderr),
    );
  });
  const { server_scan_results: results } = JSON.parse(readFileSync(file, 'utf8')) as {
    server_scan_results: {
      scan_status: string;
      scan_result: Readonly<Record<string, { status?: string }>>;
    }[];
  };
  t.equal(results.length, ports.length);
  for (const { scan_status, scan_result } of results) {
    t.equal(scan_status, 'COMPLETED');
    const failed = Object.entries(scan_result).filter(([, { status }]) => status === 'ERROR');
    t.same(failed, [], 'no check of its own failed');
  }
  const verdicts = text.slice(text.indexOf('COMPLIANCE AGAINST TLS CONFIGURATION'));
  return targets.map((target) => {
    const at = verdicts.indexOf(`${target}: `);
    if (at === -1) return undefined;
    const end = verdicts.indexOf('\n\n', at);
    const lines = verdicts.slice(at, end === -1 ? undefined : end).split('\n');
    if (/: OK/.test(lines[0] ?? '')) return [];
    return lines.slice(1).map((line) => /^ *\* ([a-z0-9_]+):/.exec(line)?.[1] ?? line);
  });
}

/** The authority of the test's own certificate is in no store. */
const OWN = ['certificate_path_validation'];

t.test('sslyze holds nothing against the ports but the certificate of the test', async (t) => {
  if (!available(t, 'sslyze')) return;
  for (const kind of ['EC', 'RSA'] as const) {
    const { cert, key } = await makeCertificate(['127.0.0.1', 'gate.example'], Date.now(), kind);
    const folder = t.testdir({ crt: cert, key });
    const result = join(folder, 'result.json');
    const tls = { cert: join(folder, 'crt'), key: join(folder, 'key') };
    const gate = await startTestGateway(t, { settings: { listen: { proxy: { tls }, admin: { tls } } } });
    t.same(await scan(t, result, [gate.port, gate.adminPort]), [OWN, OWN], kind);

    const insecure = { ...tls, insecureOlderClients: true };
    const old = await startTestGateway(t, {
      settings: { listen: { proxy: { tls: insecure }, admin: { tls: { ...tls, ciphers: 'HIGH' } } } },
    });
    for (const issues of await scan(t, result, [old.port, old.adminPort])) {
      t.ok(issues?.includes('ciphers'), `it would be seen: ${issues?.join()}`);
    }
  }
});
