/**
 * A child process: an upstream with a small JSON answer, or one of as many bytes as the last segment of the path says, and an authorization server that takes a while. Prints its
 * ports, and on each line of standard input the number of introspections since the last one. A line with an order of the
 * load makes it load a gateway itself: see `Stage.both` in stage.ts.
 *
 *     node build/bench/backend.js [delay in ms]
 *
 * A token that ends in `~` and a number gets an answer with so many bytes of claims, `~inactive` is not active, and
 * `~narrow` has not the scope `read`.
 */
import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { makeCertificate } from '../test/stack/certificate.js';
import { type Order, run } from './load.js';
import { ISSUER } from './token.js';

const delay = Number(process.argv[2] ?? 0);
const body = JSON.stringify({ url: '/get', args: {}, origin: '127.0.0.1', ok: true });
let introspections = 0;

async function listen(server: Server): Promise<number> {
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const upstream = await listen(
  createServer((message, response) => {
    const size = /^\/bytes\/(\d+)$/.exec(message.url ?? '')?.[1];
    if (size !== undefined) {
      sendBytes(response, Number(size));
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  }),
);

const PIECE = Buffer.alloc(65_536, 'x');

function sendBytes(response: ServerResponse, size: number): void {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
  let left = size;
  const more = (): void => {
    while (left > 0) {
      const count = Math.min(left, PIECE.length);
      left -= count;
      if (!response.write(PIECE.subarray(0, count)) && left > 0) {
        response.once('drain', more);
        return;
      }
    }
    response.end();
  };
  more();
}

const introspect: RequestListener = (message, response) => {
  let form = '';
  message.on('data', (piece) => {
    form += piece;
  });
  message.on('end', () => {
    introspections++;
    if (!/(?:^|&)token=[^&]/.test(form)) {
      // RFC 7662 section 2.1: the token is required.
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_request"}');
      return;
    }
    const claims = /(?:~|%7E)(\d+)/.exec(form)?.[1];
    // Shaped as Hydra answers.
    const now = Math.floor(Date.now() / 1000);
    const active = {
      active: true,
      scope: /(?:~|%7E)narrow/.test(form) ? 'write' : 'read write',
      client_id: 'c1',
      sub: 'c1',
      exp: now + 3600,
      iat: now,
      nbf: now,
      aud: [],
      iss: ISSUER,
      token_type: 'Bearer',
      token_use: 'access_token',
      ...(claims === undefined ? {} : { ext: { filler: 'x'.repeat(Number(claims)) } }),
    };
    const answer = JSON.stringify(/(?:~|%7E)inactive/.test(form) ? { active: false } : active);
    const send = (): void => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length });
      response.end(answer);
    };
    if (delay > 0) setTimeout(send, delay);
    else send();
  });
};
const authorization = await listen(createServer(introspect));
// For the contender that takes no other.
const { cert, key } = await makeCertificate(['127.0.0.1']);
const secure = await listen(createSecureServer({ cert, key }, introspect));

process.stdout.write(`${JSON.stringify({ upstream, authorization, secure })}\n`);
createInterface({ input: process.stdin }).on('line', async (line) => {
  if (line.startsWith('{')) {
    process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as Order))}\n`);
    return;
  }
  process.stdout.write(`${introspections}\n`);
  introspections = 0;
});
