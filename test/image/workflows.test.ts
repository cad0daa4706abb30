import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { validateWorkflow } from '@action-validator/core';
import t from 'tap';
import { parse } from 'yaml';
import { available, ZIZMOR } from '../require.js';
import { root } from '../root.js';
import { stages } from './dockerfile.js';
import { filesOf } from './files.js';

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

/** The path of a workflow of this repository, from how a job names it: `$/` is the repository at the same commit. */
const inRepository = (uses: string): string => uses.replace(/^\$\//, '');

t.test('every workflow is valid', (t) => {
  t.ok(workflows.length >= 2);
  for (const [name, text] of Object.entries(texts)) {
    // A permission, and a way to name a workflow of the same repository, that are newer than the schema here.
    const known = text.replace(/^ *attestations: write.*\n/m, '').replace('uses: $/', 'uses: ./');
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
      if (uses !== undefined) t.ok(existsSync(join(root, inRepository(uses))), `${name}: ${uses}`);
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
      t.match(step.uses, /@[0-9a-f]{40}$/, `${where}: ${step.uses} is pinned by commit`);
    t.notMatch(step.run ?? '', '${{', `${where}: values reach the shell as variables`);
    if (step.uses?.startsWith('actions/checkout@') === true)
      t.equal(step.with?.['persist-credentials'], false, where);
  }
  t.end();
});

t.test(
  'the version beside a commit is one for each action, for those who read it and for what keeps it current',
  (t) => {
    const versions = new Map<string, string>();
    for (const [name, text] of Object.entries(texts)) {
      for (const [, action = '', version] of text.matchAll(
        /uses: ([\w/-]+@\S+)(?: # (v\d+\.\d+\.\d+))?$/gm,
      )) {
        t.ok(version, `${name}: ${action} says its version`);
        t.equal(versions.get(action) ?? version, version, `${name}: ${action}`);
        versions.set(action, version ?? '');
      }
    }
    t.ok(versions.size >= 8);
    t.end();
  },
);

t.test('nothing that is published comes from a cache', (t) => {
  for (const { where, step } of steps.filter((each) => /^(?:release|site)\.yml/.test(each.where))) {
    t.notMatch(step.uses, /^actions\/cache/, where);
    t.notOk(step.with?.cache ?? step.with?.['cache-from'], where);
    for (const [action, input] of [
      ['actions/setup-node', 'package-manager-cache'],
      ['docker/setup-buildx-action', 'cache-binary'],
      ['docker/setup-qemu-action', 'cache-image'],
    ] as const) {
      if (step.uses?.startsWith(action) === true) t.equal(step.with?.[input], false, `${where}: ${input}`);
    }
  }
  t.end();
});

t.test('zizmor finds nothing in them', async (t) => {
  if (!available(t, 'zizmor')) return;
  const audit = (place: string) => {
    const program = ZIZMOR.find((path) => existsSync(path)) ?? ZIZMOR[1];
    const { status, stdout, stderr } = spawnSync(
      program,
      ['--offline', '--strict-collection', '--no-progress', '--format=json-v1', place],
      { encoding: 'utf8' },
    );
    if (stdout === '') throw new Error(`zizmor ended with ${status}: ${stderr}`);
    return { status, found: (JSON.parse(stdout) as { ident: string }[]).map(({ ident }) => ident) };
  };
  t.same(audit(join(root, '.github')), { status: 0, found: [] });
  const broken = (texts['release.yml'] as string)
    .replace(/@[0-9a-f]{40} # (v\d+)\S*/, '@$1')
    .replace(/^ *package-manager-cache: false\n/m, '');
  const place = t.testdir({ '.github': { workflows: { 'release.yml': broken } } });
  t.same(audit(place).found.sort(), ['cache-poisoning', 'unpinned-uses'], 'it finds what is not so');
});

t.test('Renovate keeps the commits, the images and the packages of Python current', (t) => {
  const renovate = JSON.parse(readFileSync(join(root, 'renovate.json'), 'utf8')) as {
    extends: string[];
    kubernetes: { managerFilePatterns: string[] };
    pip_requirements: { managerFilePatterns: string[] };
  };
  for (const preset of ['docker:pinDigests', 'helpers:pinGitHubActionDigests'])
    t.ok(renovate.extends.includes(preset), preset);
  const matches = (patterns: readonly string[], path: string) =>
    patterns.some((pattern) => new RegExp(pattern.slice(1, -1)).test(path));
  t.ok(matches(renovate.pip_requirements.managerFilePatterns, '.ci/requirements.txt'));
  const kubernetes = filesOf(join(root, 'config/kubernetes')).map((path) => relative(root, path));
  for (const path of kubernetes) t.ok(matches(renovate.kubernetes.managerFilePatterns, path), path);
  // It skips an image whose name it would have to compute.
  for (const { base } of stages()) t.notMatch(base, '$', `${base} is written out`);
  t.end();
});

t.test('nothing is published unchecked, and everything with parts list and provenance', (t) => {
  const release = workflows.find(([name]) => name === 'release.yml')?.[1] as Workflow;
  t.same(release.on, { push: { tags: ['v*.*.*'] } });
  const { check, ...publishing } = release.jobs;
  t.equal(inRepository(check?.uses ?? ''), '.github/workflows/ci.yml');
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
