import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeCertificate } from '../test/stack/certificate.js';
import type { TlsFiles } from './contender.js';

/** Makes a certificate for the gateways of one run; its key is in the run's own folder alone. */
export async function certificateIn(folder: string): Promise<TlsFiles> {
  const { cert, key } = await makeCertificate(['gate.example']);
  const files = {
    cert: join(folder, 'server.crt'),
    key: join(folder, 'server.key'),
    both: join(folder, 'server.pem'),
  };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key, { mode: 0o600 });
  writeFileSync(files.both, key + cert, { mode: 0o600 });
  return files;
}
