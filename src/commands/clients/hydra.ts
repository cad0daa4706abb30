import { request } from 'undici';
import { membersOf } from '../../model/json.js';
import type { ClientDocument } from './fields.js';

/** The largest response that is read, in bytes. A page of clients is far smaller. */
const MOST_BYTES = 16 * 1024 * 1024;

/** The largest page that Hydra serves, in clients. */
const PAGE = '500';

/** The most pages of one list, and the longest time for all of them, in milliseconds. */
const MOST_PAGES = 1_000;
const LIST_TIMEOUT = 120_000;

/** A call to Hydra's admin API failed. The message holds no secret. */
export class HydraError extends Error {
  /** The status of the response, if there was one. */
  readonly status: number | undefined;
  constructor(message: string, status?: number) {
    super(message);
    this.name = 'HydraError';
    this.status = status;
  }
}

/**
 * A client for Hydra's admin API for OAuth 2.0 clients, v2 (`/admin/clients`) or v1 (`/clients`). Every
 * method throws {@link HydraError} if a call fails.
 */
export class HydraAdmin {
  readonly #collection: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #timeout: number;
  readonly #now: () => number;

  /**
   * @param url Hydra's admin address. A path that ends in `/clients` is used as it is; to any other path,
   *   `/admin/clients` is appended
   * @param forwardedProto sent as `X-Forwarded-Proto`, for a Hydra that expects a TLS proxy in front of it
   * @param timeout milliseconds for a whole response
   * @param now the time in milliseconds; tests pass their own
   */
  constructor(
    url: string,
    forwardedProto?: 'http' | 'https',
    timeout = 10_000,
    now: () => number = () => performance.now(),
  ) {
    this.#now = now;
    this.#collection = collectionOf(url);
    this.#timeout = timeout;
    this.#headers = forwardedProto === undefined ? {} : { 'x-forwarded-proto': forwardedProto };
  }

  /**
   * Gets one client.
   *
   * @returns undefined if Hydra has no client with this id
   */
  async get(id: string): Promise<ClientDocument | undefined> {
    const { status, body } = await this.#send('GET', this.#one(id), [200, 404]);
    return status === 404 ? undefined : asClient(body);
  }

  /**
   * Creates a client.
   *
   * @returns the client, with its secret if Hydra generated one
   */
  async create(client: ClientDocument): Promise<ClientDocument> {
    return asClient((await this.#send('POST', this.#collection, [201], client)).body);
  }

  /**
   * Replaces a client.
   *
   * @returns the client as Hydra stored it
   */
  async put(id: string, client: ClientDocument): Promise<ClientDocument> {
    return asClient((await this.#send('PUT', this.#one(id), [200], client)).body);
  }

  /** Deletes a client. It is no error if Hydra has none with this id. */
  async delete(id: string): Promise<void> {
    await this.#send('DELETE', this.#one(id), [204, 404]);
  }

  /**
   * Finds all clients of exactly this owner. It follows the pages as long as they show clients that it has not seen:
   * Hydra v1, and v2 before v25, name a next page after the last one too, and on an empty list without end.
   *
   * @param onPage called before each page, with its number from 1 and the number of clients seen before
   */
  async findByOwner(
    owner: string,
    onPage: (page: number, seen: number) => void = () => {},
  ): Promise<ClientDocument[]> {
    const found = new Map<string, ClientDocument>();
    const seen = new Set<string>();
    const asked = new Set<string>();
    const deadline = this.#now() + LIST_TIMEOUT;
    let search: string | undefined = `?${new URLSearchParams({ owner, page_size: PAGE })}`;
    for (let page = 1; search !== undefined && !asked.has(search); page++) {
      asked.add(search);
      if (page > MOST_PAGES)
        throw new HydraError(`Hydra's list of clients has more than ${MOST_PAGES} pages`);
      if (this.#now() > deadline) {
        throw new HydraError(`Hydra's list of clients took longer than ${LIST_TIMEOUT / 1000} seconds`);
      }
      onPage(page, seen.size);
      const answer: Answer = await this.#send('GET', new URL(search, this.#collection), [200]);
      if (!Array.isArray(answer.body)) throw new HydraError('Hydra did not return a list of clients');
      const before = seen.size;
      for (const client of answer.body.map(asClient)) {
        const id = String(client.client_id);
        seen.add(id);
        // Hydra applies the filter. Check the owner again: a client of another owner must never be changed.
        if (client.owner === owner) found.set(id, client);
      }
      search = seen.size > before ? nextSearch(answer.link) : undefined;
    }
    return [...found.values()];
  }

  #one(id: string): URL {
    return new URL(`${this.#collection.pathname}/${encodeURIComponent(id)}`, this.#collection);
  }

  async #send(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    url: URL,
    good: number[],
    body?: unknown,
  ): Promise<Answer> {
    const what = `${method} ${url.origin}${url.pathname}`;
    let answer: Answer;
    try {
      const response = await request(url, {
        method,
        headers: {
          ...this.#headers,
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(this.#timeout),
      });
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > MOST_BYTES)
          throw new HydraError(`${what} failed: the response is larger than ${MOST_BYTES} bytes`);
        chunks.push(chunk);
      }
      answer = {
        status: response.statusCode,
        body: parse(Buffer.concat(chunks).toString()),
        link: [response.headers.link ?? []].flat().join(','),
      };
    } catch (error) {
      if (error instanceof HydraError) throw error;
      const { code, name } = error as NodeJS.ErrnoException;
      throw new HydraError(
        `${what} failed: ${name === 'TimeoutError' ? 'no response in time' : (code ?? name)}`,
      );
    }
    if (!good.includes(answer.status)) throw refusal(what, answer, body);
    return answer;
  }
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly link: string;
}

function collectionOf(text: string): URL {
  const url = new URL(text);
  const path = url.pathname.replace(/\/+$/, '');
  if (path.endsWith('/clients')) url.pathname = path;
  else url.pathname = `${path.replace(/\/admin$/, '')}/admin/clients`;
  url.search = '';
  url.hash = '';
  return url;
}

/** Hydra's own reason for the refusal, without the secret that was sent. */
function refusal(what: string, { status, body }: Answer, sent: unknown): HydraError {
  const refused = (body ?? {}) as { error?: unknown; error_description?: unknown; error_hint?: unknown };
  let words = [refused.error, refused.error_description, refused.error_hint]
    .filter((part): part is string => typeof part === 'string' && part !== '')
    .join(': ')
    .slice(0, 500);
  const secret = (sent as { client_secret?: unknown } | undefined)?.client_secret;
  if (typeof secret === 'string' && secret !== '') words = words.replaceAll(secret, '[secret]');
  if (status >= 300 && status < 400) words = 'redirects are not followed: use the final URL';
  return new HydraError(
    `${what} failed: Hydra responded ${status}${words === '' ? '' : ` (${words})`}`,
    status,
  );
}

function asClient(body: unknown): ClientDocument {
  const { client_id: id } = membersOf(body);
  if (typeof id === 'string' && id !== '') return body as ClientDocument;
  throw new HydraError('Hydra did not return a client');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * The query of the next page in the `Link` field (RFC 8288). Host and path are ignored, so the field cannot
 * send requests elsewhere.
 */
function nextSearch(link: string): string | undefined {
  const [, target] = /<([^>]*)>\s*;[^<]*\brel="?next"?/.exec(link) ?? [];
  if (target === undefined || !URL.canParse(target, 'http://hydra')) return undefined;
  return new URL(target, 'http://hydra').search;
}
