import { escapeText } from './glob.js';
import type { OathkeeperConfig } from './oathkeeper.js';

/**
 * Converts Oathkeeper's `serve.proxy.cors` to the `corsPolicy` that every rule gets. The defaults are
 * Oathkeeper's.
 *
 * @returns undefined if CORS is off
 */
export function corsPolicyOf(config: OathkeeperConfig): object | undefined {
  const cors = config.fields('serve', 'proxy', 'cors');
  if (cors.enabled !== true) return undefined;
  const origins = texts(cors.allowed_origins) ?? ['*'];
  const { max_age: seconds, allow_credentials: credentials } = cors;
  // Browsers reject credentials if the response allows any origin, so this combination never worked in
  // Oathkeeper.
  const withCredentials = credentials === true && !origins.includes('*');
  return {
    allowOrigins: origins.map(originOf),
    allowMethods: texts(cors.allowed_methods) ?? ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowHeaders: texts(cors.allowed_headers) ?? ['Authorization', 'Content-Type'],
    exposeHeaders: texts(cors.exposed_headers) ?? ['Content-Type'],
    ...(withCredentials ? { allowCredentials: true } : {}),
    ...(typeof seconds === 'number' && seconds > 0 ? { maxAge: `${Math.round(seconds)}s` } : {}),
  };
}

function originOf(origin: string): object {
  if (origin === '*' || !origin.includes('*')) return { exact: origin };
  return { regex: origin.split('*').map(escapeText).join('[^/]*') };
}

function texts(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.filter((each) => typeof each === 'string');
}
