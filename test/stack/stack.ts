import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { LookupFunction } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { type Gateway, startGateway } from '../../src/app/gateway.js';
import { run as clients } from '../../src/commands/clients.js';
import { load } from '../../src/commands/load.js';
import { formatFinding } from '../../src/document/finding.js';
import type { Clock } from '../../src/model/clock.js';
import { root } from '../root.js';
import { type AuthorizationServer, start as startAuthorizationServer } from './authorization-server.js';
import { makeCertificate } from './certificate.js';
import { startFunction } from './function.js';
import { startHttpbin } from './httpbin.js';
import type { Listener } from './listener.js';
import { claim } from './port.js';
import { startPythonHttpbin } from './python-httpbin.js';

/** The host names of the tutorial, with `localhost` for the domain. */
export const HOSTS = ['httpbin.localhost', 'function-example.localhost', 'oauth2.localhost'] as const;

/** The port of each part; 0 takes a free one. */
export interface Ports {
  /** The gateway's TLS port. */
  readonly gateway: number;
  /** The gateway's admin port. */
  readonly admin: number;
  /** The authorization server's public port. */
  readonly hydra: number;
  /** The authorization server's admin port. */
  readonly hydraAdmin: number;
  readonly httpbin: number;
  readonly function: number;
}

/** The ports that `config/stack.yaml` names. */
export const PORTS: Ports = {
  gateway: 8443,
  admin: 4456,
  hydra: 4444,
  hydraAdmin: 4445,
  httpbin: 8000,
  function: 8080,
};

/** Free ports for everything, as tests take them. */
export const FREE: Ports = { gateway: 0, admin: 0, hydra: 0, hydraAdmin: 0, httpbin: 0, function: 0 };

/** How to start the stack. */
export interface StackOptions {
  /** Default: {@link FREE}. */
  readonly ports?: Ports;
  /** The HttpBin: the one of this folder, or the real one in Python, which must be installed. */
  readonly httpbin?: 'node' | 'python';
  /** `SCOPEGATE_…` variables for the gateway, over those of the stack. */
  readonly environment?: Readonly<Record<string, string>>;
  /** The settings file; default `config/stack.yaml`. */
  readonly config?: string;
  /** Told of every log line of the gateway, without its newline. */
  readonly onLog?: (line: string) => void;
  readonly clock?: Clock;
  /** How a person chooses a port, as a sentence for the error about a taken one. */
  readonly howToChoose?: (port: keyof Ports) => string;
}

/** A running stack. */
export interface Stack {
  readonly urls: {
    /** `https://httpbin.localhost:port`. */
    readonly httpbin: string;
    /** `https://function-example.localhost:port`. */
    readonly function: string;
    /** `https://oauth2.localhost:port`: the token endpoint behind the gateway. */
    readonly oauth2: string;
    /** The gateway itself, by address. */
    readonly gateway: string;
    /** The gateway's admin port. */
    readonly admin: string;
    /** The HttpBin and the Function without the gateway. */
    readonly upstreams: { readonly httpbin: string; readonly function: string };
  };
  readonly port: number;
  readonly tokens: { readonly read: string; readonly write: string };
  readonly credentials: { readonly id: string; readonly secret: string };
  /** PEM of the authority that signed the gateway's certificate, and a file that holds it. */
  readonly ca: string;
  readonly caFile: string;
  readonly authorizationServer: AuthorizationServer;
  readonly httpbin: Omit<Listener, 'reopen'>;
  readonly function: Listener;
  readonly gateway: Gateway;
  /** Every log line of the gateway so far. */
  readonly log: readonly string[];
  /** An undici dispatcher that trusts the certificate and finds `*.localhost` on loopback. */
  readonly dispatcher: Agent;
  /** Asks for a token as the tutorial does, through the gateway. */
  token(scope: string): Promise<string>;
  close(): Promise<void>;
}

/**
 * Starts the tutorial on this machine: authorization server, HttpBin, Function and the gateway over TLS, all in this
 * process; makes the tutorial's OAuth2Client true and gets its two tokens.
 *
 * @throws PortTaken when a port is in use; nothing keeps running then
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { ports = FREE, httpbin: flavour = 'node', howToChoose } = options;
  const ends: (() => unknown)[] = [];
  const close = async () => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  const how = (port: keyof Ports) => (howToChoose === undefined ? {} : { how: howToChoose(port) });
  const opened = async <T extends { close(): Promise<unknown> }>(starting: Promise<T>): Promise<T> => {
    const part = await starting;
    ends.push(() => part.close());
    return part;
  };
  try {
    for (const [what, port] of [
      ['the gateway', 'gateway'],
      ["the gateway's admin listener", 'admin'],
    ] as const) {
      await claim(what, ports[port], howToChoose?.(port) ?? 'Choose another port, or 0 for a free one.');
    }
    const folder = mkdtempSync(join(tmpdir(), 'scopegate-stack-'));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));

    const authorizationServer = await opened(
      startAuthorizationServer({
        publicPort: ports.hydra,
        adminPort: ports.hydraAdmin,
        ...(howToChoose === undefined
          ? {}
          : { how: { public: howToChoose('hydra'), admin: howToChoose('hydraAdmin') } }),
      }),
    );
    const httpbin = await opened(
      flavour === 'node'
        ? startHttpbin({ port: ports.httpbin, ...how('httpbin') })
        : startPythonHttpbin(ports.httpbin),
    );
    const sample = await opened(startFunction({ port: ports.function, ...how('function') }));

    const { ca, cert, key } = await makeCertificate([...HOSTS, 'localhost', '127.0.0.1']);
    const file = (name: string, text: string) => {
      const path = join(folder, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    const caFile = file('ca.pem', ca);
    const log: string[] = [];
    const gateway = await opened(
      start(options, log, {
        SCOPEGATE_LISTEN_PROXY_PORT: String(ports.gateway),
        SCOPEGATE_LISTEN_PROXY_TLS_CERT: file('cert.pem', cert),
        SCOPEGATE_LISTEN_PROXY_TLS_KEY: file('key.pem', key),
        SCOPEGATE_LISTEN_ADMIN_PORT: String(ports.admin),
        SCOPEGATE_SERVICES: JSON.stringify({
          httpbin: httpbin.url,
          function: sample.url,
          'ory-hydra-public': authorizationServer.publicUrl,
        }),
        SCOPEGATE_INTROSPECTION_URL: authorizationServer.introspectionUrl,
      }),
    );
    const port = Number(new URL(gateway.proxyUrl).port);
    const dispatcher = new Agent({ connect: { ca, lookup: toLoopback } });
    ends.push(() => dispatcher.destroy());

    const credentials = await applyClient(authorizationServer.adminUrl, join(folder, 'credentials'));
    const oauth2 = `https://oauth2.localhost:${port}`;
    const token = (scope: string) => fetchToken(oauth2, credentials, scope, dispatcher);
    return {
      urls: {
        httpbin: `https://httpbin.localhost:${port}`,
        function: `https://function-example.localhost:${port}`,
        oauth2,
        gateway: gateway.proxyUrl,
        admin: gateway.adminUrl,
        upstreams: { httpbin: httpbin.url, function: sample.url },
      },
      port,
      tokens: { read: await token('read'), write: await token('write') },
      credentials,
      ca,
      caFile,
      authorizationServer,
      httpbin,
      function: sample,
      gateway,
      log,
      dispatcher,
      token,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function start(
  options: StackOptions,
  log: string[],
  environment: Record<string, string>,
): Promise<Gateway> {
  const config = options.config ?? join(root, 'config/stack.yaml');
  const { settings, table, findings } = load(config, { ...environment, ...options.environment });
  if (settings === undefined || table === undefined) throw new Error(findings.map(formatFinding).join('\n'));
  const destination = {
    write(text: string) {
      for (const line of text.split('\n')) {
        if (line === '') continue;
        log.push(line);
        options.onLog?.(line);
      }
    },
  };
  return await startGateway(settings, table, {
    destination,
    ...(options.clock === undefined ? {} : { clock: options.clock }),
  });
}

/** Makes the tutorial's OAuth2Client true with the command that a person would use. */
async function applyClient(adminUrl: string, out: string): Promise<Stack['credentials']> {
  let trouble = '';
  const args = ['apply', '--admin-url', adminUrl, '--out', out, join(root, 'config/oauth2client.yaml')];
  const code = await clients(args, {
    environment: {},
    out() {},
    err(text) {
      trouble += text;
    },
  });
  if (code !== 0) throw new Error(`clients apply ended with ${code}: ${trouble}`);
  const read = (key: string) => readFileSync(join(out, 'tutorial', key), 'utf8');
  return { id: read('client_id'), secret: read('client_secret') };
}

async function fetchToken(
  oauth2: string,
  { id, secret }: Stack['credentials'],
  scope: string,
  dispatcher: Agent,
): Promise<string> {
  const { statusCode, body } = await request(`${oauth2}/oauth2/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }).toString(),
    dispatcher,
  });
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`the token request was answered ${statusCode}: ${text}`);
  return (JSON.parse(text) as { access_token: string }).access_token;
}

/** Names under `localhost` are loopback (RFC 6761 section 6.3), whatever the system's resolver thinks of them. */
const toLoopback: LookupFunction = (_name, options, found) => {
  if (options.all) found(null, [{ address: '127.0.0.1', family: 4 }]);
  else found(null, '127.0.0.1', 4);
};
