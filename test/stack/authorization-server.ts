import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { type Paging, serveClients } from './hydra/admin.js';
import { health, NO_STORE, send, sendFailure, sendOAuth, sendText } from './hydra/answer.js';
import { Clients, type HydraClient } from './hydra/client.js';
import { readForm } from './hydra/form.js';
import { type Answer, introspect } from './hydra/introspection.js';
import { oauthError } from './hydra/oauth-errors.js';
import { type Core, createCore } from './hydra/provider.js';
import { servePublic } from './hydra/public.js';
import { listen } from './listener.js';

/** Where the authorization server listens; ports default to free ones. */
export interface Settings {
  readonly host?: string;
  readonly publicPort?: number;
  readonly adminPort?: number;
  /** The issuer identifier; default: the public port's URL. */
  readonly issuer?: string;
  /** Seconds an access token lives; default 3600. */
  readonly lifetime?: number;
  /** How a person chooses other ports, as sentences for the error about a taken one. */
  readonly how?: { readonly public: string; readonly admin: string };
}

/** One introspection as the server saw it. */
export interface Introspection {
  /** The token asked about; the log lives in the test's memory only. */
  readonly token: string | undefined;
  readonly form: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  /** Milliseconds since 1970 when the request's body was complete. */
  readonly at: number;
}

/** What {@link AuthorizationServer.issueToken} makes. */
export interface TokenRequest {
  /** Default `test-client`; a client that does not exist is registered. */
  readonly clientId?: string;
  /** Space-separated; default `read`. */
  readonly scope?: string;
  readonly audience?: readonly string[];
  /** Seconds; default the server's. */
  readonly lifetime?: number;
  /** `refresh_token` gives the value Hydra's prefix and the answer its `token_use`. */
  readonly use?: 'access_token' | 'refresh_token';
  /** Members laid over the introspection's answer: `{ sub: 'alice', ext: {…}, cnf: {…}, nbf: … }`. */
  readonly claims?: Answer;
}

/**
 * Answers one introspection in place of the server. Return true when the response is taken care of (also by never
 * ending it), false to let the server answer.
 */
export type Fault = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

/** A running authorization server. All trouble is made through this object, none over the wire. */
export interface AuthorizationServer {
  readonly publicUrl: string;
  readonly adminUrl: string;
  readonly issuer: string;
  /** `adminUrl` + `/admin/oauth2/introspect`. */
  readonly introspectionUrl: string;
  /** Every introspection so far, oldest first; failed ones too. */
  readonly introspections: Introspection[];
  /** The clients, with their secrets. */
  readonly clients: Clients;
  /** Registers a client as `POST /admin/clients` does; default: client_credentials with the scopes read and write. */
  registerClient(client?: Readonly<Record<string, unknown>>): HydraClient;
  issueToken(request?: TokenRequest): Promise<string>;
  revoke(token: string): Promise<void>;
  /** Delays every introspection's answer; 0 ends it. */
  setDelay(milliseconds: number): void;
  /**
   * Takes the database away, or gives it back. While it is gone, Hydra answers every introspection with 200 and
   * `{"active":false}`, `/health/ready` with 503, the token endpoint with 401 and its admin API with 500.
   */
  setDatabase(state: 'up' | 'down'): void;
  /** How lists of clients name the next page; `endless` as v1, also of an empty list. */
  setPaging(paging: Paging): void;
  /** Makes a new key of access tokens, which is published and used at once, as Hydra does. */
  rotateKeys(): Promise<void>;
  /** Signs a JWT access token with the newest key. */
  signToken(claims?: Readonly<Record<string, unknown>>): Promise<string>;
  /** How often `/health/ready` of the admin port was asked. */
  readonly readinessChecks: number;
  /** Answers every introspection with this; undefined ends it. */
  setFault(fault: Fault | undefined): void;
  /** Stops both listeners and destroys their connections: the server is down. */
  stop(): Promise<void>;
  /** Listens again on the same ports. With `forget`, all clients and tokens are gone, as an in-memory Hydra's. */
  restart(options?: { forget?: boolean }): Promise<void>;
  close(): Promise<void>;
}

/** Ready-made faults for {@link AuthorizationServer.setFault}. */
export const faults = {
  /** Answers with a status, a JSON error, and headers (`retry-after`). */
  status: (code: number, headers: Record<string, string> = {}): Fault => {
    return (_request, response) => {
      send(response, code, { error: 'error', error_description: 'injected' }, headers);
      return true;
    };
  },
  /** Answers 200 with this text as it stands. */
  body: (text: string, type = 'application/json'): Fault => {
    return (_request, response) => {
      response.writeHead(200, { 'content-type': type });
      response.end(text);
      return true;
    };
  },
  /** Takes the request and never answers. */
  hang: (): Fault => () => true,
  /** Resets the connection. */
  reset: (): Fault => (request) => {
    request.socket.resetAndDestroy();
    return true;
  },
};

/**
 * Starts a local authorization server with Ory Hydra v2's wire interface, built on oidc-provider.
 *
 * @throws PortTaken when one of its ports is in use
 */
export async function start(settings: Settings = {}): Promise<AuthorizationServer> {
  const { host = '127.0.0.1', lifetime = 3600 } = settings;
  const how = (which: 'public' | 'admin') => (settings.how === undefined ? {} : { how: settings.how[which] });
  const introspections: Introspection[] = [];
  const overrides = new Map<string, Answer>();
  let clients = new Clients();
  let core: Core;
  let delay = 0;
  let database = true;
  let paging: Paging = 'keyset';
  let readinessChecks = 0;
  let fault: Fault | undefined;

  // The issuer may be the address that is listened on, so requests can come before there is somebody to answer them.
  let started = false;
  const refuse = (response: ServerResponse) => void response.writeHead(503).end();

  const servePublicPort: RequestListener = (request, response) => {
    if (!started) return refuse(response);
    const path = withoutSlash(target(request).pathname);
    if (health(path, response, database)) return;
    const routes = { core, clients, issuer, lifetime, database };
    servePublic(request, response, path, routes).catch((error: unknown) => sendFailure(response, error));
  };
  const serveAdmin: RequestListener = (request, response) => {
    if (!started) return refuse(response);
    route(request, response).catch((error: unknown) => sendFailure(response, error));
  };
  const publicListener = await listen(
    {
      what: "the authorization server's public listener",
      host,
      port: settings.publicPort ?? 0,
      ...how('public'),
    },
    servePublicPort,
  );
  const adminListener = await listen(
    {
      what: "the authorization server's admin listener",
      host,
      port: settings.adminPort ?? 0,
      ...how('admin'),
    },
    serveAdmin,
  ).catch(async (error: unknown) => {
    await publicListener.close();
    throw error;
  });
  const issuer = settings.issuer ?? publicListener.url;
  core = await createCore(issuer, clients);
  started = true;

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = target(request);
    if (url.pathname === '/health/ready') readinessChecks++;
    if (health(url.pathname, response, database)) return;
    // Hydra trims a trailing slash and takes its v1 paths, without the prefix, too.
    let path = withoutSlash(url.pathname);
    if (!path.startsWith('/admin/')) path = `/admin${path}`;
    url.pathname = path;
    if (path === '/admin/oauth2/introspect') {
      if (request.method === 'POST') await answerIntrospection(request, response);
      else sendText(response, 405, 'Method Not Allowed', 'POST');
    } else if (!database) {
      sendFailure(response, new Error('no database'));
    } else if (!(await serveClients(request, response, url, { clients, issuer, paging }))) {
      request.resume();
      sendText(response, 404, '404 page not found');
    }
  }

  async function answerIntrospection(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = await readForm(request);
    const token = form.get('token') ?? undefined;
    introspections.push({ token, form, headers: request.headers, at: Date.now() });
    if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay).unref());
    if (await fault?.(request, response)) return;
    if (form.size === 0) {
      const { error, message } = oauthError('invalid_request', 'The POST body can not be empty.');
      return sendOAuth(response, 400, { error, error_description: message });
    }
    const knows = (clientId: string) => database && clients.get(clientId) !== undefined;
    const answer = await introspect(form, { core, issuer, knows, overrides });
    sendOAuth(response, 200, answer, answer.active === true ? {} : NO_STORE);
  }

  function registerClient(client: Readonly<Record<string, unknown>> = {}): HydraClient {
    return clients.create({
      grant_types: ['client_credentials'],
      scope: 'read write',
      token_endpoint_auth_method: 'client_secret_basic',
      ...client,
    });
  }

  async function stop(): Promise<void> {
    await Promise.all([publicListener.close(), adminListener.close()]);
  }

  return {
    publicUrl: publicListener.url,
    adminUrl: adminListener.url,
    issuer,
    introspectionUrl: `${adminListener.url}/admin/oauth2/introspect`,
    introspections,
    get clients() {
      return clients;
    },
    registerClient,
    async issueToken(request = {}) {
      const { clientId = 'test-client', scope = 'read', audience = [], use = 'access_token' } = request;
      if (clients.get(clientId) === undefined) registerClient({ client_id: clientId });
      const token = await core.issue({
        clientId,
        scope,
        aud: [...audience],
        lifetime: request.lifetime ?? lifetime,
        prefix: use === 'access_token' ? 'ory_at_' : 'ory_rt_',
      });
      if (use !== 'access_token' || request.claims !== undefined) {
        overrides.set(token, { token_use: use, ...request.claims });
      }
      return token;
    },
    revoke: (token) => core.revoke(token),
    setDelay(milliseconds) {
      delay = milliseconds;
    },
    setDatabase(state) {
      database = state === 'up';
    },
    setPaging(next) {
      paging = next;
    },
    rotateKeys: () => core.rotateKeys(),
    signToken: (claims = {}) => {
      const now = Math.floor(Date.now() / 1000);
      return core.sign({
        iss: issuer,
        sub: 'test-client',
        iat: now,
        exp: now + lifetime,
        scp: ['read'],
        ...claims,
      });
    },
    get readinessChecks() {
      return readinessChecks;
    },
    setFault(next) {
      fault = next;
    },
    stop,
    async restart({ forget = false } = {}) {
      await stop();
      if (forget) {
        clients = new Clients();
        overrides.clear();
        core = await createCore(issuer, clients);
      }
      await Promise.all([publicListener.reopen(), adminListener.reopen()]);
    },
    close: stop,
  };
}

function withoutSlash(path: string): string {
  return path.replace(/(?<=.)\/$/, '');
}

function target(request: IncomingMessage): URL {
  return new URL(`http://stack${request.url?.startsWith('/') ? request.url : '/'}`);
}
