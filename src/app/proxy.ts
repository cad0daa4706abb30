import type { Logger } from 'pino';
import type { Revocations } from '../auth/introspection/revocation.js';
import { verifiesClients } from '../config/sections/listen.js';
import type { Settings } from '../config/settings.js';
import { createProxyListener, type ProxyListener } from '../listener/listener.js';
import type { ClientShareKind } from '../observe/client-shares.js';
import type { EntranceOptions } from '../observe/request-record.js';
import { clientAddressReader } from '../parse/client-address.js';
import { peerReader } from '../parse/peer.js';
import { createForwarder, type Forwarder } from '../proxy/forwarder.js';
import type { CreateUpstreamClient } from '../proxy/upstream/client.js';
import type { Credentials } from '../tls/credentials.js';
import { clientShares } from './client-shares.js';
import { upstreamOptions } from './upstream-options.js';

/** The proxy listener and its forwarder. */
export interface Proxy {
  readonly listener: ProxyListener;
  readonly forwarder: Forwarder;
}

/**
 * Builds the proxy listener of one gateway.
 *
 * @param entrance what every listener needs, except for `peerOf`
 * @param revocations watches for token revocations
 * @param onShareRefused called when a client exceeds its share, with the kind of the share
 * @param credentials for TLS; undefined for plain HTTP
 * @param log gets a warning about upstreams that are not verified
 * @param createClient creates the client of each upstream; default: scopegate's own
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
    peerOf: peerReader(settings.trustedProxies, verifiesClients(settings.listen.proxy.tls)),
    maxHeaderBytes: forward.maxHeaderBytes,
    ...(credentials === undefined ? {} : { tls: credentials }),
    webSockets: forward.webSockets,
  });
  return { listener, forwarder };
}
