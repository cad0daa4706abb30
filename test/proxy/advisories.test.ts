import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { apiRule, startTestGateway } from '../gateway.js';
import { root } from '../root.js';
import { sendRaw } from '../wire.js';
import { testAdvisories, testForgedForwarding } from './advisories.js';
import { FLOORS, reaches } from './floors.js';
import type { StartFront } from './front.js';
import { FORWARD_RULES, request } from './raw.js';

// One test for each advisory about the libraries on the request's path: what it describes does not happen here, and would
// not even with the version it was found in, wherever the gateway does not leave it to the library.

const start: StartFront = (t, options) => startTestGateway(t, { rules: FORWARD_RULES, ...options });

t.test(
  'libraries are at or above the versions that mend what is known (CVE-2026-12151 among it)',
  async (t) => {
    const { devDependencies, overrides } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      devDependencies: Record<string, string>;
      overrides: Record<string, string>;
    };
    for (const [name, floor] of Object.entries(FLOORS)) {
      const installed = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
      t.ok(reaches(installed.version, floor), `installed: ${installed.version}`);
      const asked = overrides[name] ?? devDependencies[name] ?? '';
      t.ok(reaches(asked.replace('^', ''), floor), `asked for: ${asked}`);
    }
    t.notOk(reaches('7.28.9', '7.29.0'));
    t.notOk(reaches('5.8.5-rc.1', '5.8.5'));
    t.ok(reaches('10.0.0', '9.9.9'));
  },
);

t.test('CVE-2026-3635 host and protocol are not believed from a peer that is not trusted', async (t) => {
  await testForgedForwarding(t, await start(t, { settings: { trustedProxies: ['192.0.2.0/24'] } }));
});

testAdvisories(t, start);

t.test('CVE-2025-66415 no spelling of ".." leaves what the rule covers', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      { path: '/open/.*', methods: ['GET'], accessStrategies: [{ handler: 'noop' }] },
    ]),
  });
  for (const dots of [
    '..',
    '%2e%2e',
    '.%2E',
    '..%2f',
    '..%5c',
    '..\\',
    '..;',
    '%252e%252e',
    '%c0%ae%c0%ae',
    '...//..',
  ]) {
    for (const target of [`/open/${dots}/secret`, `/open/a/${dots}/${dots}/secret`, `/open/${dots}`]) {
      gate.upstream.received.length = 0;
      const { answers } = await sendRaw(gate.port, request(`GET ${target}`));
      const sent = gate.upstream.received[0]?.url;
      t.ok(
        [400, 404].includes(answers[0]?.status ?? 0) || /^\/open\/(?!.*\.\.\/)/.test(sent ?? ''),
        `${target}: ${sent}`,
      );
      t.notMatch(sent, /^\/secret/);
    }
  }
});
