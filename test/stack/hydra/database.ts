import { once } from 'node:events';
import { connect } from 'node:net';

/** What a PostgreSQL client sends first to ask for TLS; the server says S or N (PostgreSQL's protocol, "SSLRequest"). */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/**
 * Whether a PostgreSQL answers where a data source name says. Nothing is stored in it: this authorization server keeps
 * its clients and tokens in memory, and is as little there as its database.
 *
 * @param dsn `memory`, or `postgres://user:password@host:port/name?…` as Hydra takes it
 * @param patience milliseconds until it counts as gone
 */
export async function answers(dsn: string, patience = 1000): Promise<boolean> {
  if (dsn === 'memory') return true;
  const { hostname, port } = new URL(dsn);
  const socket = connect({ host: hostname, port: Number(port || 5432) });
  const signal = AbortSignal.timeout(patience);
  try {
    await once(socket, 'connect', { signal });
    socket.write(SSL_REQUEST);
    const [said] = (await once(socket, 'data', { signal })) as [Buffer];
    return said[0] === 0x53 || said[0] === 0x4e;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
