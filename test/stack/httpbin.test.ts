import { request } from 'node:http';
import t from 'tap';
import { available } from '../require.js';
import { startFunction } from './function.js';
import { startHttpbin } from './httpbin.js';
import { startPythonHttpbin } from './python-httpbin.js';
import { curl } from './shell.js';

/** Requests whose answers must be the real HttpBin's, but for the port and what is random. */
const SAME: readonly (readonly string[])[] = [
  ['/get?a=1&a=2&b=&c=%20x'],
  ['/headers', '-H', 'X-Twice: 1', '-H', 'X-Twice: 2', '-H', 'Authorization: Bearer x'],
  [
    '/headers',
    '-H',
    'X-Forwarded-For: 1.2.3.4',
    '-H',
    'X-Forwarded-Proto: https',
    '-H',
    'X-Forwarded-Host: a',
  ],
  ['/ip'],
  ['/ip', '-H', 'X-Forwarded-For: 1.2.3.4, 5.6.7.8'],
  ['/get', '-H', 'X-Forwarded-Proto: https', '-H', 'X-Forwarded-For: 1.2.3.4'],
  ['/user-agent', '-A', 'agent/1'],
  ['/cookies', '-b', 'a=1; b=2'],
  ['/post', '-d', 'test data'],
  ['/post', '-d', 'a=1&a=2&b=%C3%A4'],
  ['/post', '-F', 'a=b', '-F', 'f=content;filename=f.txt'],
  ['/post', '-H', 'Content-Type: application/json', '-d', '{"b":[1,{"z":null,"a":true}]}'],
  ['/post', '-H', 'Content-Type: text/plain', '-d', 'ä text'],
  ['/post', '-H', 'Content-Type: application/json', '-d', '{broken'],
  ['/put', '-X', 'PUT', '-d', 'x=1'],
  ['/patch', '-X', 'PATCH', '-d', 'x=1'],
  ['/delete', '-X', 'DELETE'],
  ['/anything'],
  ['/anything/a/b?x=1', '-X', 'PUT', '-d', 'x'],
  ['/response-headers?X-One=1&X-Two=a&X-Two=b'],
  ['/stream/3?a=1'],
  ['/delay/0'],
  ['/drip?duration=0&numbytes=5&delay=0&code=202'],
];

/** Requests whose answers must agree in status and in these fields. */
const ALIKE: readonly (readonly string[])[] = [
  ['/status/200'],
  ['/status/204'],
  ['/status/302'],
  ['/status/401'],
  ['/status/404', '-X', 'POST', '-d', 'x'],
  ['/status/418'],
  ['/status/503'],
  ['/redirect/1'],
  ['/redirect/3'],
  ['/bytes/16'],
  ['/uuid'],
  ['/get', '-X', 'POST'],
  ['/post'],
  ['/get', '-X', 'OPTIONS'],
  ['/get', '-I'],
  ['/nowhere'],
];

const FIELDS = [
  'location',
  'content-type',
  'allow',
  'www-authenticate',
  'access-control-allow-origin',
  'x-more-info',
];

t.test('answers what the real HttpBin answers', async (t) => {
  if (!available(t, 'httpbin') || !available(t, 'curl')) return;
  const [ours, real] = await Promise.all([startHttpbin(), startPythonHttpbin()]);
  t.teardown(() => Promise.all([ours.close(), real.close()]));
  const ask = (base: { url: string; port: number }, [path = '', ...args]: readonly string[]) =>
    curl(...args, base.url + path).then((answer) => ({
      ...answer,
      body: answer.body.replaceAll(`:${base.port}`, ':PORT').replace(/boundary=-+\w+/g, 'boundary=B'),
    }));
  for (const line of SAME) {
    const [mine, theirs] = await Promise.all([ask(ours, line), ask(real, line)]);
    t.equal(mine.status, theirs.status, line.join(' '));
    if (line[0]?.startsWith('/stream')) t.strictSame(lines(mine.body), lines(theirs.body), line.join(' '));
    else if (theirs.body.startsWith('{'))
      t.strictSame(JSON.parse(mine.body), JSON.parse(theirs.body), line.join(' '));
    else t.equal(mine.body, theirs.body, line.join(' '));
    t.strictSame(fields(mine.head), fields(theirs.head), line.join(' '));
  }
  for (const line of ALIKE) {
    const [mine, theirs] = await Promise.all([ask(ours, line), ask(real, line)]);
    t.equal(mine.status, theirs.status, line.join(' '));
    t.strictSame(fields(mine.head), fields(theirs.head), line.join(' '));
  }
});

t.test('/bytes gives bytes, /drip gives them slowly, /delay waits', async (t) => {
  if (!available(t, 'curl')) return;
  const httpbin = await startHttpbin();
  t.teardown(() => httpbin.close());
  const bytes = await (await fetch(`${httpbin.url}/bytes/1000`)).arrayBuffer();
  t.equal(bytes.byteLength, 1000);
  t.equal((await curl(`${httpbin.url}/drip?duration=0.1&numbytes=3&delay=0.05`)).body, '***');
  t.match(JSON.parse((await curl(`${httpbin.url}/delay/0.05`)).body), { url: `${httpbin.url}/delay/0.05` });
});

t.test('targets reach it as they were sent', async (t) => {
  const httpbin = await startHttpbin();
  t.teardown(() => httpbin.close());
  for (const path of ['/anything/a%2Fb', '/anything/%C3%A4', '/anything//x', '/anything/a;b?c=%20d&e']) {
    const text = await new Promise<string>((resolve, reject) => {
      request({ port: httpbin.port, path }, async (response) => {
        const chunks = await response.toArray();
        resolve(Buffer.concat(chunks).toString());
      })
        .on('error', reject)
        .end();
    });
    t.equal((JSON.parse(text) as { url: string }).url, httpbin.url.replace('127.0.0.1', 'localhost') + path);
  }
});

t.test('the Function greets', async (t) => {
  if (!available(t, 'curl')) return;
  const sample = await startFunction();
  t.teardown(() => sample.close());
  t.match(await curl(`${sample.url}/function?name=x`), { status: 200, body: /^Hello World/ });
  t.match(await curl(`${sample.url}/`), { status: 404 });
  t.match(await curl('-X', 'POST', `${sample.url}/function`), { status: 404 });
});

function lines(body: string): unknown[] {
  return body
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

function fields(head: string): Record<string, string | undefined> {
  return Object.fromEntries(
    FIELDS.map((name) => [
      name,
      new RegExp(`^${name}: *(.*?)\\r?$`, 'im').exec(head)?.[1]?.split(', ').sort().join(', '),
    ]),
  );
}
