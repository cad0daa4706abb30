import { Agent, type Dispatcher, request } from 'undici';

/** One request to a gateway; everything has a default. */
export interface Question {
  readonly method?: Dispatcher.HttpMethod;
  /** The Host field; default `gate.example`. */
  readonly host?: string;
  /** Sent as `Authorization: Bearer …`. */
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

/** The answer, read to its end. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
  /** The error body's `reason`; empty where the answer is none of the gateway's own. */
  readonly reason: string;
}

// As many connections as there are requests: nothing waits for another one's answer.
const agent = new Agent({ pipelining: 1, keepAliveTimeout: 1_000 });

/**
 * Sends one request.
 *
 * @param gate whose `url` it goes to
 */
export async function ask(
  gate: { readonly url: string },
  path: string,
  question: Question = {},
): Promise<Reply> {
  const { method = 'GET', host = 'gate.example', token, headers = {}, body, signal } = question;
  const answer = await request(gate.url + path, {
    dispatcher: agent,
    method,
    headers: {
      host,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
    ...(signal === undefined ? {} : { signal }),
  });
  const text = await answer.body.text();
  return {
    status: answer.statusCode,
    headers: answer.headers as Reply['headers'],
    text,
    reason: reasonOf(text),
  };
}

function reasonOf(text: string): string {
  try {
    return (JSON.parse(text) as { error?: { reason?: string } }).error?.reason ?? '';
  } catch {
    return '';
  }
}
