import { request } from 'undici';
import type { TestGateway } from '../gateway.js';

export interface Call {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

export async function call(
  { adminUrl }: TestGateway,
  path: string,
  { method, headers = {}, body }: Call = {},
) {
  const answer = await request(adminUrl + path, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await answer.body.text();
  return {
    status: answer.statusCode,
    headers: answer.headers,
    text,
    json: () => JSON.parse(text) as Record<string, never>,
  };
}
