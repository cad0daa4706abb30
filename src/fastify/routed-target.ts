import type { IncomingMessage } from 'node:http';
import {
  type ParsedRequest,
  parseRequest,
  type RequestLimits,
  type RequestRefusal,
} from '../parse/parsed-request.js';

/**
 * Reads a request that Fastify has routed. The router, the routes and other plugins read the target as the
 * client sent it, and scopegate cannot change that. So it refuses a target that is not canonical. Then the
 * rules see the same target as all other code.
 */
export function readAsRouted(
  message: IncomingMessage,
  limits: RequestLimits & { readonly ignoresTrailingSlash: boolean },
): ParsedRequest | RequestRefusal {
  const raw = message.url ?? '';
  const parsed = parseRequest(message, raw, limits);
  if ('refused' in parsed) return parsed;
  const { path, query } = parsed.target;
  if (raw !== path + query) return { error: 'malformed_target', refused: NOT_CANONICAL };
  return limits.ignoresTrailingSlash ? withoutSlash(parsed) : parsed;
}

const NOT_CANONICAL =
  'the path is not canonical: it has dot segments, empty segments, or escapes that are not needed or in lower case';

/** The router treats `/a` and `/a/` as one path, so both must lead to the same rule. */
function withoutSlash(parsed: ParsedRequest): ParsedRequest {
  const { target } = parsed;
  if (target.path === '/') return parsed;
  const asSent = target.path.endsWith('/') ? target.path.slice(0, -1) : `${target.path}/`;
  return { ...parsed, target: { ...target, asSent } };
}
