import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { Revocations } from '../auth/introspection/revocation.js';
import type { Settings } from '../config/settings.js';
import { unverified, upstreamTls } from '../config/upstream-tls.js';
import { createProxyListener, type ProxyListener } from '../listener/listener.js';
import { type ClientShareKind, type ClientShareLimits, ClientShares } from '../observe/client-shares.js';
import type { EntranceOptions } from '../observe/request-record.js';
import { clientAddressReader } from '../parse/client-address.js';
import { peerReader } from '../parse/peer.js';
import { createForwarder, type Forwarder, type ForwarderOptions } from '../proxy/forwarder.js';
import { createIdentityFilter } from '../proxy/identity-headers.js';
import type { CreateUpstreamClient } from '../proxy/upstream/client.js';
import type { Credentials } from '../tls/credentials.js';

/** The proxy listener, and what it forwards by. */
export interface Proxy {
  readonly listener: ProxyListener;
  readonly forwarder: Forwarder;
}

/**
 * Builds the proxy listener of one gateway.
 *
 * @param entrance what every entrance needs, but for who its peers are
 * @param revocations observes token revocations
 * @param onShareRefused is told what a client had its share of already
 * @param credentials for TLS; undefined for plain HTTP
 * @param log is told of upstreams that are not verified
 * @param createClient makes the client of each upstream; default: scopegate's own
 */
export async function createProxy(
  settings: Settings,
  entrance: Omit<EntranceOptions, 'peerOf'>,
  revocations: Revocations,
  onShareRefused: (kind: ClientShareKind) => void,
  credentials: Credentials | undefined,
  log: Logger,
  createClient?: CreateUpstreamClient,
): Promise<Proxy> {
  const { forward, server } = settings;
  const forwarder = createForwarder({
    ...forward,
    ...upstreamOptions(settings, log),
    realm: settings.realm,
    onFault: entrance.onFault,
    now: entrance.services.now,
    createClient,
  });
  const listener = await createProxyListener({
    ...entrance,
    ...server,
    shares: clientShares(server.clientShare, onShareRefused),
    clientAddress: clientAddressReader(settings.trustedProxies),
    forwarder,
    revocations,
    peerOf: peerReader(settings.trustedProxies),
    maxHeaderBytes: forward.maxHeaderBytes,
    ...(credentials === undefined ? {} : { tls: credentials }),
    webSockets: forward.webSockets,
  });
  return { listener, forwarder };
}

/** Nothing is counted where there is no limit. */
function clientShares(
  limits: ClientShareLimits,
  onRefused: (kind: ClientShareKind) => void,
): ClientShares | undefined {
  const isOff = Object.values(limits).every((limit) => limit === 0);
  return isOff ? undefined : new ClientShares({ ...limits, onRefused });
}

/** What is the same for all upstreams, whatever sends the requests. */
export type UpstreamOptions = Pick<ForwarderOptions, 'identity' | 'tlsOf' | 'body' | 'via'>;

/**
 * Reads from the settings how upstreams are spoken to.
 *
 * @param log is warned of upstreams that are not verified, and of fields that clients may forge
 */
export function upstreamOptions({ forward, server }: Settings, log: Logger): UpstreamOptions {
  for (const setting of unverified(forward.tls)) {
    log.warn({ setting }, 'insecure: upstream certificates are not verified');
  }
  const { keep } = forward.identityFields;
  if (keep.length > 0) {
    log.warn(
      { setting: 'forward.identityFields.keep', fields: keep },
      'insecure: clients may send fields that upstreams take for a statement of the gateway',
    );
  }
  return {
    identity: createIdentityFilter(forward.identityFields),
    tlsOf: upstreamTls(forward.tls),
    body: {
      maxBytes: forward.maxBodyBytes,
      idleTimeout: server.bodyIdleTimeout,
      minRate: server.minBodyRate,
      buffer: forward.requestBuffer,
    },
    // Another gateway of the same name is no loop.
    via: `${forward.via}-${randomBytes(3).toString('hex')}`,
  };
}
