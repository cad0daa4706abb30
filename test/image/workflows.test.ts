import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { validateWorkflow } from '@action-validator/core';
import t from 'tap';
import { parse } from 'yaml';
import { root } from '../root.js';
import { stages } from './dockerfile.js';

interface Step {
  readonly id?: string;
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Record<string, unknown>;
  readonly env?: Record<string, string>;
}
interface Job {
  readonly needs?: string;
  readonly uses?: string;
  readonly permissions?: Record<string, string>;
  readonly steps?: readonly Step[];
}
interface Workflow {
  readonly on: Record<string, unknown>;
  readonly permissions: Record<string, string>;
  readonly jobs: Record<string, Job>;
}

const folder = join(root, '.github/workflows');
const texts = Object.fromEntries(
  readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
);
const workflows = Object.entries(texts).map(([name, text]) => [name, parse(text) as Workflow] as const);
const steps = workflows.flatMap(([name, { jobs }]) =>
  Object.entries(jobs).flatMap(([job, each]) =>
    (each.steps ?? []).map((step) => ({ where: `${name}: ${job}`, step })),
  ),
);
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

t.test('every workflow is valid', (t) => {
  t.ok(workflows.length >= 2);
  for (const [name, text] of Object.entries(texts)) {
    // A permission that GitHub has had for longer than the schema here.
    const known = text.replace(/^ *attestations: write\n/m, '');
    t.same(validateWorkflow(known).errors, [], name);
  }
  const broken = (texts['ci.yml'] as string).replace('runs-on:', 'run-on:');
  t.not(validateWorkflow(broken).errors.length, 0, 'a mistyped field is found');
  t.end();
});

t.test('what they start is there', (t) => {
  for (const { where, step } of steps) {
    for (const [, script = ''] of (step.run ?? '').matchAll(/npm run (?:-s )?(\S+)/g))
      t.ok(script in scripts, `${where}: npm run ${script}`);
    for (const [, file = ''] of (step.run ?? '').matchAll(/\bbash (\S+)/g))
      t.ok(existsSync(join(root, file)), `${where}: ${file}`);
  }
  for (const [name, { jobs }] of workflows) {
    for (const [job, { needs, uses }] of Object.entries(jobs)) {
      if (needs !== undefined) t.ok(jobs[needs], `${name}: ${job} needs ${needs}`);
      if (uses !== undefined) t.ok(existsSync(join(root, uses)), `${name}: ${uses}`);
    }
  }
  t.match(texts['ci.yml'], 'bash .ci/run', 'the check of a change is .ci/run and nothing beside it');
  t.end();
});

t.test('they are given no more than they need', (t) => {
  for (const [name, { on, permissions }] of workflows) {
    t.same(permissions, { contents: 'read' }, `${name}: every job that needs more says so`);
    t.notOk('pull_request_target' in on, `${name}: no stranger's code with the project's rights`);
  }
  for (const { where, step } of steps) {
    if (step.uses !== undefined)
      t.match(step.uses, /@(v\d+|[0-9a-f]{40})$/, `${where}: ${step.uses} is pinned`);
    t.notMatch(step.run ?? '', '${{', `${where}: values reach the shell as variables`);
    if (step.uses?.startsWith('actions/checkout@') === true)
      t.equal(step.with?.['persist-credentials'], false, where);
  }
  t.end();
});

t.test('nothing is published unchecked, and everything with parts list and provenance', (t) => {
  const release = workflows.find(([name]) => name === 'release.yml')?.[1] as Workflow;
  t.same(release.on, { push: { tags: ['v*.*.*'] } });
  const { check, ...publishing } = release.jobs;
  t.equal(check?.uses, './.github/workflows/ci.yml');
  for (const [name, job] of Object.entries(publishing)) {
    t.equal(job.needs, 'check', name);
    t.equal(job.permissions?.['id-token'], 'write', `${name} can sign`);
  }
  const shell = release.jobs.package?.steps?.map(({ run }) => run ?? '').join('\n') ?? '';
  t.match(shell, /cp dist\/sbom\.cdx\.json scopegate\.cdx\.json/, 'the list that the package holds');
  t.match(shell, /npm publish \.\/scopegate-\*\.tgz --provenance/);
  const image = release.jobs.image?.steps?.find(({ id }) => id === 'build');
  t.match(image?.with, { push: true, sbom: true, provenance: 'mode=max' });
  const known = stages().flatMap((stage) =>
    stage.steps.filter(({ keyword }) => keyword === 'ARG').map(({ text }) => text.split('=')[0]),
  );
  for (const [, name = ''] of String(image?.with?.['build-args']).matchAll(/^(\w+)=/gm))
    t.ok(known.includes(name), `the Dockerfile takes ${name}`);
  t.end();
});

t.test('a tag that is not the version of the package stops the release', (t) => {
  const { run = '' } = steps.find(({ step }) => step.name?.startsWith('The tag'))?.step ?? {};
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const code = (tag: string) =>
    spawnSync('sh', ['-ec', run], { cwd: root, env: { PATH: process.env.PATH, GITHUB_REF_NAME: tag } })
      .status;
  t.equal(code(`v${version}`), 0);
  t.equal(code('v99.0.0'), 1);
  t.end();
});
