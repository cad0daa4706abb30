import t from 'tap';
import { request } from 'undici';
import { pages } from '../docs/page.js';
import { available } from '../require.js';
import { FREE, start } from './child.js';
import { answered, shell } from './shell.js';

t.test(
  'the printed commands, pasted one by one, are answered as printed; Ctrl-C ends everything',
  async (t) => {
    const { child, ready, exit, output } = start(t, FREE);
    const printed = await ready;
    const variables = printed.match(/^export .*$/gm) ?? [];
    t.equal(variables.length, 4);
    const steps = [...printed.matchAll(/^# (.*): (\d{3})\n(curl .*)$/gm)];
    t.equal(steps.length, 11);
    const curl = available(t, 'curl');
    for (const [, says, status, command] of curl ? steps : []) {
      t.equal(answered(await shell(command as string)).status, Number(status), String(says));
    }
    const readme = pages().find(({ path }) => path === 'README.md');
    const shown = (readme?.blocks ?? []).filter(({ info }) => info.startsWith('tutorial '));
    t.equal(shown.length, 3);
    for (const { text, info } of curl ? shown : []) {
      const { status } = answered(await shell([...variables, text].join('\n')));
      t.equal(`tutorial ${status}`, info, `the README's ${text}, after the lines to paste`);
    }
    t.ok(new Set(steps.map(([, , status]) => status)).size >= 4, '200, 401, 403 and 404 are among them');
    const [, page = ''] = /admin page: (http:\/\/127\.0\.0\.1:\d+\/)/.exec(printed) ?? [];
    const admin = `${page}health/ready`;
    const alive = await request(admin);
    await alive.body.dump();
    t.equal(alive.statusCode, 200);

    const clients = /http:\/\/127\.0\.0\.1:\d+\/admin\/clients/.exec(printed)?.[0] ?? '';
    child.kill('SIGINT');
    t.equal(await exit, 0);
    if (curl) t.match(output().slice(printed.length), '"decision"', 'the log followed');
    for (const url of [admin, clients]) await t.rejects(request(url), { code: 'ECONNREFUSED' });
  },
);
