import type { IncomingMessage } from 'node:http';
import {
  type ParsedRequest,
  parseRequest,
  type RequestLimits,
  type RequestRefusal,
} from '../parse/parsed-request.js';

/**
 * Reads a request that Fastify has routed. The router, the routes and other plugins read the target as it came, and
 * scopegate cannot change that for them. So a target that is not canonical as it stands is refused: what the rules see
 * is then what everybody else sees.
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

/** The router takes `/a` and `/a/` for one path: both must lead to the same rule. */
function withoutSlash(parsed: ParsedRequest): ParsedRequest {
  const { target } = parsed;
  if (target.path === '/') return parsed;
  const asSent = target.path.endsWith('/') ? target.path.slice(0, -1) : `${target.path}/`;
  return { ...parsed, target: { ...target, asSent } };
}
