import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The top of the repository, where esbuild's paths begin. */
const root = join(import.meta.dirname, '..');

/**
 * Writes what a bundle is made of: `sbom.cdx.json`, a list of its parts in CycloneDX, under a name that scanners look
 * for; and `third-party-licenses.txt`, the licence of each part in full, as the licences demand.
 *
 * @param target the folder of the bundle
 * @param metafiles what esbuild says of each half: only packages with code in the bundle are parts
 */
export function writeParts(target, metafiles) {
  const sbom = partsOf(target, withoutStubs(metafiles));
  const parts = sbom.components;
  writeFileSync(
    join(target, 'third-party-licenses.txt'),
    `scopegate ${sbom.metadata.component.version} has the code of these packages inside.\n${parts.map(licence).join('')}`,
  );
  // Once is enough: the texts stand in the other file.
  for (const part of parts) delete part.evidence;
  writeFileSync(join(target, 'sbom.cdx.json'), `${JSON.stringify(sbom, null, 1)}\n`);
}

/** One metafile of several, without what a plugin put in the place of a package that is not inside. */
function withoutStubs(metafiles) {
  const isFile = (path) => !/^[a-z-]+:/.test(path);
  const inputs = {};
  const outputs = {};
  for (const half of metafiles) {
    for (const [path, input] of Object.entries(half.inputs)) {
      if (!isFile(path)) continue;
      inputs[path] = { ...input, imports: input.imports.filter((each) => isFile(each.path)) };
    }
    for (const [path, output] of Object.entries(half.outputs)) {
      const own = Object.entries(output.inputs).filter(([name]) => isFile(name));
      outputs[path] = { ...output, inputs: Object.fromEntries(own) };
    }
  }
  return { inputs, outputs };
}

/** The list of parts with the text of each licence. @throws where the tool fails */
function partsOf(target, metafile) {
  const place = mkdtempSync(join(tmpdir(), 'scopegate-parts-'));
  try {
    const [meta, list] = [join(place, 'meta.json'), join(place, 'sbom.json')];
    writeFileSync(meta, JSON.stringify(metafile));
    const tool = join(root, 'node_modules/@cyclonedx/cyclonedx-esbuild/bin/cyclonedx-esbuild-cli.js');
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [tool, '--gather-license-texts', '--output-reproducible', `--output-file=${list}`, meta],
      { cwd: root, encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(`no list of the parts of ${target}: ${stdout}${stderr}`);
    return JSON.parse(readFileSync(list, 'utf8'));
  } finally {
    rmSync(place, { recursive: true });
  }
}

/** One part's name, version and licence: its text, or where the package has none, what its package.json declares. */
function licence({ group, name, version, licenses = [], evidence }) {
  const texts = (evidence?.licenses ?? []).map(({ license }) =>
    Buffer.from(license.text.content, license.text.encoding).toString('utf8').trim(),
  );
  const declared = licenses
    .map(({ license, expression }) => expression ?? license.id ?? license.name)
    .join(', ');
  const heading = `${group === undefined ? name : `${group}/${name}`} ${version} (${declared})`;
  const text =
    texts.join('\n\n') || 'The package has no file of its licence; its package.json declares the above.';
  return `\n${'='.repeat(80)}\n${heading}\n\n${text}\n`;
}
