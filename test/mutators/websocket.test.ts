import { once } from 'node:events';
import t from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { apiRule, rule, startTestGateway } from '../gateway.js';
import { startUpstream } from '../upstream.js';

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
  const [socket, message] = await seen;
  t.match(message.headers, { 'x-who': 'reader', cookie: 'a=1; who=reader' });
  client.terminate();
  socket.terminate();
  server.close();
  await upstream.close();
});
