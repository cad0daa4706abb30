import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { clientShares } from '../app/client-shares.js';
import { type Core, startCore } from '../app/core.js';
import { upstreamOptions } from '../app/upstream-options.js';
import { watchRules } from '../app/watches.js';
import type { Settings } from '../config/settings.js';
import { formatFinding } from '../document/finding.js';
import { systemClock } from '../model/clock.js';
import type { Denial } from '../model/errors.js';
import { clientAddressReader } from '../parse/client-address.js';
import { type Peer, peerReader } from '../parse/peer.js';
import { loadOffThread } from '../rules/off-thread.js';
import { Authorizer } from './authorizer.js';
import type { Scopegate, ScopegateOptions, ScopegatePurge } from './plugin-types.js';
import { checkRouter, ignoresTrailingSlash } from './router-options.js';
import { loadAll, outputOf, pluginLoadOptions } from './start.js';
import { Upstreams } from './upstreams.js';

/** One registration of the plugin in an application. */
export interface RunningPlugin {
  readonly scopegate: Scopegate;
  /** Refuses and records a request that the router itself refuses. */
  refuseUnrouted(request: FastifyRequest, reply: FastifyReply, denial: Denial): void;
}

/**
 * Starts the plugin in an application. It ends when the application closes.
 *
 * @throws Error if the settings or the rules have errors, or if an option of the application's router would
 *   undermine the rules
 */
export async function startPlugin(app: FastifyInstance, options: ScopegateOptions): Promise<RunningPlugin> {
  checkOptions(options);
  checkRouter(app);
  if (app.hasDecorator('scopegate')) {
    throw new Error(
      'scopegate is already registered in this context or a parent of it; register it once, or in sibling contexts',
    );
  }
  const { settings, table, digest } = await loadAll(app, options, (finding) =>
    app.log.warn({ finding }, 'rules'),
  );
  const output = outputOf(app, settings, options);
  const core = await startCore(settings, table, {
    output,
    clock: systemClock,
    load: (version, signal) =>
      loadOffThread(settings.rules, pluginLoadOptions(app, settings, version), {
        signal,
        inBackground: true,
      }),
  });
  let closing = false;
  const { rules, introspection } = core;
  const ready = (): boolean => !closing && rules.table.rules.length > 0;
  const authorizer = createAuthorizer(app, settings, core);
  const { upstreams: routes = false } = options;
  const upstreams =
    routes === false
      ? undefined
      : new Upstreams({
          settings,
          upstream: upstreamOptions(settings, output.log),
          authorizer,
          isClosing: () => closing,
          revocations: introspection.revocations,
        });
  core.watch({
    ready,
    certificates: () => [],
    pools: () => upstreams?.pools.states() ?? [],
    bufferedBytes: () => upstreams?.bufferedBytes ?? 0,
  });
  const unwatch = watchRules(settings, rules, digest);
  app.addHook('preClose', async () => {
    closing = true;
    unwatch();
  });
  app.addHook('onClose', async () => {
    unwatch();
    await Promise.all([upstreams?.pools.close(), core.close()]);
  });
  const scopegate = createScopegate(core, authorizer, ready);
  app.decorate('scopegate', scopegate);
  app.decorateRequest('scopegate', null);
  if (routes !== false) upstreams?.declare(app, routes === true ? {} : routes);
  return {
    scopegate,
    refuseUnrouted: (request, reply, denial) => authorizer.refuseUnrouted(request, reply, denial),
  };
}

/** @throws TypeError for options that would otherwise be ignored silently */
function checkOptions(options: ScopegateOptions & { readonly prefix?: unknown }): void {
  const { settings } = options;
  if (typeof settings !== 'string' && (typeof settings !== 'object' || settings === null)) {
    throw new TypeError('scopegate: "settings" must be the path of a settings file, or an object like one');
  }
  if (options.prefix !== undefined) {
    throw new TypeError(
      'scopegate: "prefix" has no effect, because rules have whole paths; to limit what is forwarded, use upstreams: { prefix }',
    );
  }
}

function createAuthorizer(app: FastifyInstance, settings: Settings, core: Core): Authorizer {
  // The application says with which authorities its server verifies client certificates.
  const peerOf = peerReader(settings.trustedProxies, true);
  return new Authorizer({
    ...core.entrance,
    peerOf: (socket) => {
      const peer = peerOf(socket);
      return peer.address === '' && !socket.destroyed ? LOCAL : peer;
    },
    maxHeaderBytes: settings.forward.maxHeaderBytes,
    shares: clientShares(settings.server.clientShare, core.metrics.shareRefused),
    clientAddress: clientAddressReader(settings.trustedProxies),
    ignoresTrailingSlash: ignoresTrailingSlash(app),
  });
}

/** The peer of a Unix socket, which has no address (RFC 7239 §6.2). */
const LOCAL: Peer = { address: 'unknown', secure: false, trusted: false };

function createScopegate(core: Core, authorizer: Authorizer, ready: () => boolean): Scopegate {
  const { rules, introspection, metrics } = core;
  return {
    authorize: authorizer.authorize,
    get ready() {
      return ready();
    },
    get rulesVersion() {
      return rules.table.version;
    },
    async reload() {
      const state = await rules.reloader?.reload();
      return { ok: state?.ok === true, findings: (state?.findings ?? []).map(formatFinding) };
    },
    async purge(which: ScopegatePurge) {
      const { count, told } = introspection.purge(which);
      return told === undefined ? { purged: count } : { purged: count, told: await told };
    },
    metrics: () => metrics.text(),
    metricsType: metrics.contentType,
  };
}
