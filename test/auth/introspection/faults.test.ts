import { createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { ask } from '../../ask.js';
import {
  type Answer,
  body,
  HASTY,
  json,
  listening,
  refused,
  shared,
  start,
  survives,
} from './faults-setup.js';

t.test('a body that comes byte by byte ends with the timeout', async (t) => {
  await survives(
    t,
    'dripping',
    (_message, response) => {
      response.writeHead(200, json);
      response.write('{"active":true');
      const drip = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(drip));
    },
    HASTY,
  );
});

t.test('a head that comes byte by byte ends with the timeout', async (t) => {
  await survives(
    t,
    'dripping head',
    ({ socket }) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const drip = setInterval(() => socket.write('X-A: b\r\n'), 20);
      socket.on('close', () => clearInterval(drip));
      socket.on('error', () => {});
    },
    HASTY,
  );
});

for (const status of [500, 502, 503, 504, 429]) {
  t.test(`a server that answers ${status} is 503`, async (t) => {
    const { gate, clock } = await shared();
    gate.endpoint.fault = body('{"active":true}', json, status);
    refused(t, gate, await ask(gate, '/x', { token: 'good-read' }), `${status}`);
    t.ok(gate.endpoint.asked.length <= 2, 'at most one retry');
    gate.endpoint.fault = undefined;
    clock.advance(5_000);
    t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  });
}

for (const status of [429, 503]) {
  t.test(`Retry-After of a ${status} reaches the client and is waited for`, async (t) => {
    for (const value of ['7', new Date(Date.now() + 7_900).toUTCString()]) {
      const { gate, clock } = await shared();
      gate.endpoint.fault = body('', { 'retry-after': value }, status);
      const first = await ask(gate, '/x', { token: 'good-read' });
      refused(t, gate, first, value);
      t.ok(
        [7, 8].includes(Number(first.headers['retry-after'])),
        `passed on: ${first.headers['retry-after']}`,
      );
      const asked = gate.endpoint.asked.length;
      gate.endpoint.fault = undefined;
      clock.advance(4_000);
      refused(t, gate, await ask(gate, '/x', { token: 'good-write' }), 'too early');
      t.equal(gate.endpoint.asked.length, asked, 'the server is left in peace');
      clock.advance(4_000);
      t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
    }
  });
}

t.test('a Retry-After without sense or measure is not believed', async (t) => {
  for (const value of ['99999999', '-1', 'soon', '1e9', 'Fri, 31 Dec 9999 23:59:59 GMT']) {
    const { gate, clock } = await shared();
    gate.endpoint.fault = body('', { 'retry-after': value }, 503);
    const reply = await ask(gate, '/x', { token: 'good-read' });
    refused(t, gate, reply, value);
    t.ok(Number(reply.headers['retry-after']) <= 300, value);
    gate.endpoint.fault = undefined;
    clock.advance(300_000);
    t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  }
});

for (const status of [401, 403]) {
  t.test(
    `a server that refuses the gateway’s own credentials with ${status} is 503, never 401`,
    async (t) => {
      const headers = { ...json, 'www-authenticate': 'Basic realm="as"' };
      const gate = await survives(t, `${status}`, body('{"error":"invalid_client"}', headers, status));
      t.match(
        gate.log.find(({ msg }) => msg === 'introspection failed'),
        { level: 40, cause: `the authorization server answered ${status}` },
        'the operator is told',
      );
    },
  );
}

for (const status of [301, 302, 303, 307, 308]) {
  t.test(`a redirect with ${status} is not followed`, async (t) => {
    let followed = 0;
    const elsewhere = createServer((socket) => {
      followed++;
      socket.destroy();
    });
    const port = await listening(t, elsewhere);
    await survives(t, `${status}`, body('', { location: `http://127.0.0.1:${port}/introspect` }, status));
    t.equal(followed, 0);
  });
}

for (const [what, text] of Object.entries({
  'truncated JSON': '{"active":true',
  'an empty body': '',
  HTML: '<!doctype html><title>active: true</title>',
  'a byte order mark': '\uFEFF{"active":true,"scope":"read"}',
  NaN: '{"active":true,"scope":"read","exp":NaN}',
  'two values': '{"active":true,"scope":"read"}{"active":true,"scope":"read"}',
  'no UTF-8': Buffer.from('{"active":true,"scope":"read","x":"\xff"}', 'latin1'),
})) {
  t.test(`${what} makes nothing active`, async (t) => {
    await survives(t, what, body(text));
  });
}

t.test('a status without a body makes nothing active', async (t) => {
  await survives(t, '204', body('', {}, 204));
});

t.test('a body of 100 MB is cut off', async (t) => {
  const chunk = Buffer.alloc(65_536, 0x20);
  for (const headers of [{ ...json, 'content-length': String(100 * 1024 * 1024) }, json]) {
    let sent = 0;
    let ended = false;
    const endless: Answer = (_message, response) => {
      response.writeHead(200, headers);
      response.write('{"active":true,"scope":"read"');
      const pump = (): void => {
        while (!ended && sent < 100 * 1024 * 1024) {
          sent += chunk.length;
          if (!response.write(chunk)) return void response.once('drain', pump);
        }
      };
      response.on('close', () => {
        ended = true;
      });
      pump();
    };
    await survives(t, 'content-length' in headers ? 'declared' : 'endless chunks', endless, {
      timeout: '10s',
    });
    t.ok(ended, 'the connection was destroyed');
    t.ok(sent < 16 * 1024 * 1024, `after ${sent} bytes, sockets' buffers included`);
  }
});

t.test('nesting 100,000 deep is 503', async (t) => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  await survives(t, 'at the top', body(deep));
  const { gate } = await shared();
  gate.endpoint.fault = body(`{"active":true,"scope":"read","ext":${deep}}`);
  const { status } = await ask(gate, '/x', { token: 'good-read' });
  t.ok([200, 503].includes(status), `${status}: read or refused, no crash`);
  gate.endpoint.fault = undefined;
  t.equal((await ask(gate, '/x', { token: 'good-admin' })).status, 403, 'the gateway lives');
});

t.test('a wrong or missing Content-Type is refused by default', async (t) => {
  const good = '{"active":true,"scope":"read"}';
  for (const type of ['text/html', 'text/plain', 'application/jsonp', 'application/xml', undefined]) {
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
    await survives(t, `${type}`, body(good, headers));
  }
  for (const type of [
    'application/json',
    'Application/JSON; charset=utf-8',
    'application/json;charset=UTF-8',
  ]) {
    const { gate } = await shared();
    gate.endpoint.fault = body(good, { 'content-type': type });
    t.equal((await ask(gate, '/x', { token: 'any' })).status, 200, type);
  }
});

t.test('requireContentType: false takes JSON whatever it is called', async (t) => {
  const { gate } = await start(t, { requireContentType: false });
  gate.endpoint.fault = body('{"active":true,"scope":"read"}', {});
  t.equal((await ask(gate, '/x', { token: 'any' })).status, 200);
});

t.test('a compressed answer is not expanded', async (t) => {
  const bomb = gzipSync(Buffer.from(`{"active":true,"scope":"read","x":"${' '.repeat(50_000_000)}"}`));
  t.ok(bomb.length < 262_144, 'small enough to pass the size limit');
  const gate = await survives(t, 'declared', body(bomb, { ...json, 'content-encoding': 'gzip' }));
  t.equal(gate.endpoint.requests[0]?.message.headers['accept-encoding'], 'identity', 'none was asked for');
  await survives(t, 'undeclared', body(bomb));
});

for (const text of [
  '{"active":"true","scope":"read"}',
  '{"active":1,"scope":"read"}',
  '{"active":null,"scope":"read"}',
  '{"scope":"read"}',
  'null',
  'true',
  '[{"active":true,"scope":"read"}]',
  '{"__proto__":{"active":true},"scope":"read"}',
]) {
  t.test(`${text} makes nothing active`, async (t) => {
    await survives(t, text, body(text));
  });
}
