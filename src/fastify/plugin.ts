import type {
  FastifyError,
  FastifyInstance,
  FastifyPluginAsync,
  FastifyReply,
  FastifyRequest,
} from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { type Denial, denial } from '../model/errors.js';
import type { ScopegateOptions } from './plugin-types.js';
import { sendRefusal } from './reply.js';
import { type RunningPlugin, startPlugin } from './running.js';

export type * from './plugin-types.js';

/** The running plugins, by what `app.scopegate` is. */
const running = new WeakMap<object, RunningPlugin>();

async function register(app: FastifyInstance, options: ScopegateOptions): Promise<void> {
  const plugin = await startPlugin(app, options);
  running.set(plugin.scopegate, plugin);
}

/**
 * scopegate as a plugin of a Fastify application: `await app.register(scopegate, { settings })`. It decorates the
 * application with `app.scopegate`, and requests with `request.scopegate`.
 *
 * @throws Error if the settings or the rules have errors, or if the application's router would undermine them
 */
export const scopegate: FastifyPluginAsync<ScopegateOptions> = fastifyPlugin(register, {
  name: 'scopegate',
  fastify: '5.x',
});

export default scopegate;

/**
 * For the option `frameworkErrors` of the application: answers what Fastify's router refuses before any hook, such as
 * a path with a bad escape, as scopegate answers, with an audit line.
 */
export function frameworkErrors(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const refused = refusalOf(error);
  const { scopegate: here } = request.server as { scopegate?: object };
  const plugin = here && running.get(here);
  if (plugin === undefined) sendRefusal(reply, refused, '');
  else plugin.refuseUnrouted(request, reply, refused);
}

function refusalOf({ code }: FastifyError): Denial {
  switch (code) {
    case 'FST_ERR_BAD_URL':
      return denial('malformed_target', 'the path contains a bad percent-escape');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return denial('target_too_long', 'a parameter in the path is too long');
    default:
      return denial('internal', 'the gateway failed');
  }
}
