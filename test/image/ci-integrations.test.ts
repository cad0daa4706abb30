import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { validateAction } from '@action-validator/core';
import t from 'tap';
import { parse } from 'yaml';
import { MISTYPED, TYPED } from '../commands/mistyped.js';
import { available } from '../require.js';
import { root } from '../root.js';

interface ActionStep {
  readonly id?: string;
  readonly if?: string;
  readonly shell?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly run: string;
}
interface Action {
  readonly inputs: Readonly<Record<string, { readonly description: string; readonly default: string }>>;
  readonly runs: { readonly using: string; readonly steps: readonly ActionStep[] };
}
interface Hook {
  readonly id: string;
  readonly entry: string;
  readonly args: readonly string[];
  readonly language: string;
  readonly files: string;
  readonly pass_filenames: boolean;
}

const actionText = readFileSync(join(root, '.github/actions/scopegate/action.yml'), 'utf8');
const action = parse(actionText) as Action;
const hooksText = readFileSync(join(root, '.pre-commit-hooks.yaml'), 'utf8');
const hooks = parse(hooksText) as readonly Hook[];
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const cli = join(root, 'build/src/cli.js');

const CASES = 'cases:\n  - { request: GET http://demo.local/a, expect: allow }\n';
/** A user's repository. */
const FILES = {
  'scopegate.yaml': 'rules: [ rules ]\nintrospection: { url: "http://hydra:4445/x" }\n',
  rules: { 'a.yaml': TYPED },
  cases: { 'one.yaml': CASES, more: { 'two.yaml': CASES } },
  'cases.yaml': CASES,
};

/** A package in the place of the published one, which runs what was built here. */
function publish(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const manifest = { name: 'scopegate', version, bin: { scopegate: 'run.cjs' } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  const script = `#!/usr/bin/env node
const { status } = require('node:child_process').spawnSync(process.execPath, [${JSON.stringify(cli)}, ...process.argv.slice(2)], { stdio: 'inherit' });
process.exit(status ?? 1);
`;
  writeFileSync(join(folder, 'run.cjs'), script);
  chmodSync(join(folder, 'run.cjs'), 0o755);
}

/**
 * Runs the action's steps as GitHub's runner does: each by bash with its own flags, until one fails.
 *
 * @param given the inputs that the user's workflow gives
 */
function runAction(folder: string, given: Readonly<Record<string, string>>) {
  const temporary = join(folder, 'runner temp');
  mkdirSync(temporary, { recursive: true });
  const inputs = Object.fromEntries(
    Object.entries(action.inputs).map(([name, input]) => [name, given[name] ?? input.default]),
  );
  const outputs: Record<string, string> = {};
  const evaluate = (text: string) =>
    text.replace(/\$\{\{ (inputs|steps)\.([\w.-]+) \}\}/g, (_, kind: string, name: string) =>
      kind === 'inputs' ? (inputs[name] as string) : (outputs[name] ?? ''),
    );
  let printed = '';
  const ran: string[] = [];
  for (const [index, step] of action.runs.steps.entries()) {
    const [, input = '', comparison] = /^inputs\.(\w+) (==|!=) ''$/.exec(step.if ?? '') ?? [];
    if (comparison !== undefined && (inputs[input] === '') !== (comparison === '==')) continue;
    const script = join(temporary, `${index}.sh`);
    const outputFile = join(temporary, `${index}.out`);
    writeFileSync(script, step.run);
    writeFileSync(outputFile, '');
    const env = Object.fromEntries(
      Object.entries(step.env ?? {}).map(([name, text]) => [name, evaluate(text)]),
    );
    const { status, stdout, stderr } = spawnSync(
      'bash',
      ['--noprofile', '--norc', '-eo', 'pipefail', script],
      {
        cwd: folder,
        encoding: 'utf8',
        env: {
          PATH: process.env.PATH,
          HOME: temporary,
          RUNNER_TEMP: temporary,
          GITHUB_OUTPUT: outputFile,
          ...env,
        },
      },
    );
    ran.push(step.run.split(' ').find((word) => ['install', 'check', 'test'].includes(word)) ?? '');
    printed += stdout + stderr;
    for (const line of readFileSync(outputFile, 'utf8').split('\n').filter(Boolean)) {
      const [name = '', value = ''] = line.split(/=(.*)/s);
      outputs[`${step.id}.outputs.${name}`] = value;
    }
    if (status !== 0) return { status, printed, ran };
  }
  return { status: 0, printed, ran };
}

t.test('the action and the hooks are what GitHub and pre-commit take', (t) => {
  t.same(validateAction(actionText).errors, []);
  t.not(validateAction(actionText.replace('runs:', 'run:')).errors.length, 0, 'a mistyped field is found');
  t.equal(action.runs.using, 'composite');
  t.equal(action.inputs.version?.default, version, 'the action installs the release that it came with');
  for (const step of action.runs.steps) {
    t.equal(step.shell, 'bash');
    t.notMatch(step.run, '${{', 'values reach the shell as variables');
    for (const text of Object.values(step.env ?? {})) {
      t.match(text, /^\$\{\{ (inputs|steps)\.[\w.-]+ \}\}$/, 'nothing that the test cannot evaluate');
    }
    t.match(step.if ?? "inputs.a == ''", /^inputs\.\w+ (==|!=) ''$/);
  }
  for (const hook of hooks) {
    t.equal(hook.language, 'system');
    t.match(hook.entry, `npx --yes scopegate@${version} `, 'the release that the hook came with');
    t.equal(hook.pass_filenames, false, 'a rule has a meaning only among all rules');
    for (const path of ['rules/a.yaml', 'b.yml', 'c.json']) t.match(path, new RegExp(hook.files));
    t.notMatch('README.md', new RegExp(hook.files));
  }
  t.end();
});

t.test('the action checks a repository, and annotates what is wrong', (t) => {
  const good = t.testdir(FILES);
  publish(join(good, 'published'));
  const fine = runAction(good, {
    version: `file:${join(good, 'published')}`,
    cases: 'cases/**/*.yaml',
    strict: 'true',
  });
  t.match(fine, { status: 0, ran: ['install', 'check', 'test'] }, fine.printed);
  t.match(fine.printed, /2 passed, 0 failed/, 'in folders below, too');
  t.end();
});

t.test('what is wrong fails the action, with its place in the repository', (t) => {
  const command = `${process.execPath} ${cli}`;
  const broken = t.testdir({ ...FILES, rules: { 'a.yaml': MISTYPED } });
  const checked = runAction(broken, { command, cases: 'cases.yaml' });
  t.match(checked, { status: 1, ran: ['check'] });
  t.match(checked.printed, /^::error file=rules\/a\.yaml,line=10,col=7,title=unknown-field::/m);

  const differing = t.testdir({ ...FILES, 'cases.yaml': CASES.replace('allow', 'deny') });
  const compared = runAction(differing, { command, cases: 'cases.yaml\ncases/*.yaml' });
  t.match(compared, { status: 1, ran: ['check', 'test'] });
  t.match(compared.printed, /^::error file=cases\.yaml,line=2,col=5,title=unexpected-decision::/m);
  t.match(compared.printed, /1 passed, 1 failed/);

  const missing = runAction(differing, { command, cases: 'absent/*.yaml' });
  t.match(missing, { status: 1 }, 'a pattern that finds nothing is no success');
  const warned = t.testdir({ ...FILES, rules: { 'a.yaml': `${TYPED}---\nkind: Riddle\n` } });
  t.match(runAction(warned, { command }), { status: 0, ran: ['check'] });
  t.match(runAction(warned, { command, strict: 'true' }), { status: 1 });
  t.match(runAction(warned, { command, config: 'absent.yaml' }), { status: 1 });
  t.end();
});

t.test('the hooks run', (t) => {
  if (!available(t, 'precommit')) {
    t.end();
    return;
  }
  const hookSource = t.testdir({ repository: { '.pre-commit-hooks.yaml': hooksText }, user: FILES });
  const source = join(hookSource, 'repository');
  const user = join(hookSource, 'user');
  // npx takes what is installed where it runs, if it is the version that is asked for.
  publish(join(user, 'node_modules/scopegate'));
  mkdirSync(join(user, 'node_modules/.bin'));
  symlinkSync('../scopegate/run.cjs', join(user, 'node_modules/.bin/scopegate'));
  writeFileSync(join(user, '.gitignore'), 'node_modules/\n');
  const config = { repos: [{ repo: source, rev: 'v1', hooks: hooks.map(({ id }) => ({ id })) }] };
  writeFileSync(join(user, '.pre-commit-config.yaml'), JSON.stringify(config));
  const env = {
    PATH: process.env.PATH,
    HOME: hookSource,
    PRE_COMMIT_HOME: join(hookSource, 'cache'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'somebody',
    GIT_AUTHOR_EMAIL: 'somebody@example.com',
    GIT_COMMITTER_NAME: 'somebody',
    GIT_COMMITTER_EMAIL: 'somebody@example.com',
  };
  const run = (cwd: string, program: string, ...args: string[]) =>
    spawnSync(program, args, { cwd, env, encoding: 'utf8', timeout: 60_000 });
  for (const folder of [source, user]) {
    run(folder, 'git', 'init', '-q', '-b', 'main');
    run(folder, 'git', 'add', '--all');
    run(folder, 'git', 'commit', '-q', '-m', 'All');
  }
  run(source, 'git', 'tag', 'v1');
  const clean = run(user, 'pre-commit', 'run', '--all-files', '--verbose');
  t.equal(clean.status, 0, clean.stdout + clean.stderr);
  t.match(clean.stdout, /check: 1 rule, no findings/);
  t.match(clean.stdout, /test: 1 passed, 0 failed/);

  writeFileSync(join(user, 'rules/a.yaml'), MISTYPED);
  run(user, 'git', 'add', 'rules');
  const refused = run(user, 'pre-commit', 'run', 'scopegate-check');
  t.equal(refused.status, 1);
  t.match(refused.stdout, 'rules/a.yaml:10:7 error unknown-field');
  writeFileSync(join(user, 'README.md'), 'no settings\n');
  run(user, 'git', 'reset', '-q', '--hard');
  run(user, 'git', 'add', 'README.md');
  t.match(run(user, 'pre-commit', 'run', 'scopegate-check').stdout, /no files to check/);
  t.ok(existsSync(join(hookSource, 'cache')));
  t.end();
});

t.test('the entry of each hook is a command that does what the hook says', (t) => {
  const folder = t.testdir(FILES);
  for (const { entry, args } of hooks) {
    const [, , , ...words] = entry.split(' ');
    const { status, stderr } = spawnSync(process.execPath, [cli, ...words, ...args], {
      cwd: folder,
      encoding: 'utf8',
    });
    t.equal(status, 0, stderr);
  }
  t.end();
});
