import { once } from 'node:events';
import t from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { ask } from '../../ask.js';
import { apiRule, rule, startTestGateway } from '../../gateway.js';
import { startUpstream } from '../../upstream.js';

t.test(
  'a proxy that asks for a decision is told what mutators say, and to overwrite what they do not',
  async (t) => {
    const mutators = [
      { handler: 'header', config: { headers: { 'X-Who': '{{ .Subject }}', 'X-Authenticated-By': 'gate' } } },
      { handler: 'cookie', config: { cookies: { who: '{{ .Subject }}' } } },
    ];
    const rules = apiRule('gate.example', [
      rule('/in', ['GET'], 'read', { mutators }),
      rule('/out', ['GET'], 'read'),
    ]);
    const gate = await startTestGateway(t, { rules });
    const decide = (path: string) =>
      ask({ url: gate.gateway.adminUrl }, '/decisions', {
        token: 'good-read',
        headers: {
          'x-forwarded-method': 'GET',
          'x-forwarded-host': 'gate.example',
          'x-forwarded-uri': path,
          'x-who': 'root',
          cookie: 'a=1; who=root',
        },
      });
    const inside = await decide('/in');
    t.equal(inside.status, 200);
    t.match(inside.headers, { 'x-who': 'reader', 'x-authenticated-by': 'gate', cookie: 'a=1; who=reader' });
    const outside = await decide('/out');
    t.equal(outside.status, 200);
    t.match(outside.headers, { 'x-who': '', 'x-authenticated-by': '' });
    t.equal(outside.headers.cookie, undefined);
  },
);

t.test('mutators speak in a WebSocket’s handshake, too', async (t) => {
  const upstream = await startUpstream();
  const server = new WebSocketServer({ server: upstream.server });
  const seen = once(server, 'connection');
  const mutators = [
    { handler: 'header', config: { headers: { 'X-Who': '{{ .Subject }}' } } },
    { handler: 'cookie', config: { cookies: { who: '{{ .Subject }}' } } },
  ];
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [rule('/ws', ['GET'], 'read', { mutators })]),
    upstreamUrl: upstream.url,
  });
  const client = new WebSocket(`${gate.url.replace('http', 'ws')}/ws`, {
    headers: {
      host: 'gate.example',
      authorization: 'Bearer good-read',
      'x-who': 'root',
      cookie: 'who=root; a=1',
    },
  });
  await once(client, 'open');
  const [socket, message] = await seen;
  t.match(message.headers, { 'x-who': 'reader', cookie: 'a=1; who=reader' });
  client.terminate();
  socket.terminate();
  server.close();
  await upstream.close();
});
