import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { Settings } from '../config/settings.js';
import { unverified, upstreamTls } from '../config/upstream-tls.js';
import type { ForwarderOptions } from '../proxy/forwarder.js';
import { createIdentityFilter } from '../proxy/identity-headers.js';
import type { PrepareOptions } from '../proxy/prepare-request.js';

/** The options that are the same for all upstreams, whichever client sends the requests. */
export type UpstreamOptions = PrepareOptions & Pick<ForwarderOptions, 'tlsOf'>;

/**
 * Reads from the settings how requests are sent to upstreams.
 *
 * @param log gets a warning about upstreams that are not verified, and about fields that clients may forge
 */
export function upstreamOptions({ forward, server }: Settings, log: Logger): UpstreamOptions {
  for (const setting of unverified(forward.tls)) {
    log.warn({ setting }, 'insecure: upstream certificates are not verified');
  }
  const { keep } = forward.identityFields;
  if (keep.length > 0) {
    log.warn(
      { setting: 'forward.identityFields.keep', fields: keep },
      'insecure: scopegate does not remove these identity fields, so clients can forge them',
    );
  }
  return {
    host: forward.host,
    identity: createIdentityFilter(forward.identityFields),
    tlsOf: upstreamTls(forward.tls),
    body: {
      maxBytes: forward.maxBodyBytes,
      idleTimeout: server.bodyIdleTimeout,
      minRate: server.minBodyRate,
      buffer: forward.requestBuffer,
    },
    // The random suffix tells this gateway from another one of the same name, which is not a loop.
    via: `${forward.via}-${randomBytes(3).toString('hex')}`,
  };
}
