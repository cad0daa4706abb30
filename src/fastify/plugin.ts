import type {
  FastifyError,
  FastifyInstance,
  FastifyPluginAsync,
  FastifyReply,
  FastifyRequest,
} from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { type Denial, denial, GATEWAY_FAILED } from '../model/errors.js';
import type { ScopegateOptions } from './plugin-types.js';
import { sendRefusal } from './reply.js';
import { type RunningPlugin, startPlugin } from './running.js';

export type * from './plugin-types.js';

/** The running plugins, by the object that `app.scopegate` is. */
const running = new WeakMap<object, RunningPlugin>();

async function register(app: FastifyInstance, options: ScopegateOptions): Promise<void> {
  const plugin = await startPlugin(app, options);
  running.set(plugin.scopegate, plugin);
}

/**
 * scopegate as a plugin of a Fastify application: `await app.register(scopegate, { settings })`. It adds
 * `app.scopegate` to the application and `request.scopegate` to requests.
 *
 * @throws Error if the settings or the rules have errors, or if an option of the application's router would
 *   undermine the rules
 */
export const scopegate: FastifyPluginAsync<ScopegateOptions> = fastifyPlugin(register, {
  name: 'scopegate',
  fastify: '5.x',
});

export default scopegate;

/**
 * For the application's option `frameworkErrors`. Fastify's router refuses some requests before any hook,
 * such as a path with an invalid escape. This function answers them as scopegate does, with an audit line.
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
      return GATEWAY_FAILED;
  }
}
