import t from 'tap';
import { canReusePort } from '../../src/config/sections/listen.js';
import { loadSettings } from '../../src/config/settings.js';

t.test('only a Node that has the option shares a port', (t) => {
  for (const version of ['22.12.0', '22.23.3', '23.1.0', '24.0.0', '26.1.0'])
    t.ok(canReusePort(version), version);
  for (const version of ['18.20.1', '20.19.0', '20.20.2', '21.7.3', '22.11.9', '23.0.1'])
    t.notOk(canReusePort(version), version);
  t.end();
});

t.test('another Node is told so, in place of a second process that cannot listen', (t) => {
  const file = t.testdir({
    'rules.yaml': '',
    's.yaml':
      'rules: [ rules.yaml ]\nintrospection: { url: "http://h" }\nlisten:\n  proxy:\n    reusePort: true\n',
  });
  const { settings, findings } = loadSettings(`${file}/s.yaml`, {});
  if (canReusePort(process.versions.node)) {
    t.equal(settings?.listen.proxy.reusePort, true);
  } else {
    t.equal(settings, undefined);
    t.match(findings, [
      {
        code: 'invalid-value',
        line: 5,
        message: `listen.proxy.reusePort needs Node 22.12, 23.1 or later, and this is ${process.versions.node}`,
      },
    ]);
  }
  t.end();
});
