import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Finding, formatFinding } from '../../document/finding.js';
import { readDocuments } from '../../document/yaml.js';
import { readTextFile } from '../../model/text-file.js';
import { compileApiRule } from '../../rules/apirule/apirule.js';
import { nameOf, withName } from '../../rules/apirule/name.js';
import { type ApiRule, TRIAL } from './trial.js';

/** Writes an APIRule as a YAML document that tools for YAML 1.1, such as kubectl, read in the same way. */
export function toYaml(apiRule: ApiRule): string {
  return stringify(apiRule, { lineWidth: 0, compat: 'yaml-1.1' });
}

/**
 * Finds the errors and warnings that scopegate would report for an APIRule, with placeholder settings.
 *
 * @param text one YAML document
 * @param file its name in the findings
 */
export function tryOut(text: string, file: string): Finding[] {
  return readDocuments(text, file).documents.flatMap((document) =>
    compileApiRule(document, TRIAL).findings.map((finding) => withName(finding, nameOf(document))),
  );
}

/**
 * Writes one file for each APIRule, and one report.
 *
 * @param folder created if it does not exist
 * @param earlier findings about the input, for the report
 * @param settings the content of `scopegate.yaml`; if given, the APIRules go into the subfolder `rules`
 *   beside it
 * @returns what scopegate finds in the new files, and the files that could not be written
 */
export function writeFiles(
  folder: string,
  apiRules: readonly ApiRule[],
  earlier: readonly Finding[],
  settings?: string,
): Finding[] {
  const findings: Finding[] = [];
  const report: string[] = [];
  for (const apiRule of apiRules) {
    const { name, namespace } = apiRule.metadata as { name: string; namespace?: string };
    const file = join(
      folder,
      settings === undefined ? '' : 'rules',
      `${namespace === undefined ? '' : `${namespace}.`}${name}.yaml`,
    );
    const text = toYaml(apiRule);
    const problem = write(file, text, true);
    findings.push(...(problem === undefined ? tryOut(text, file) : [problem]));
    if (problem === undefined) report.push(`${namespace ?? 'default'}/${name}: ${file}`);
  }
  if (settings !== undefined) {
    const problem = write(join(folder, 'scopegate.yaml'), settings, true);
    if (problem !== undefined) findings.push(problem);
  }
  const lines = [...report, ...[...earlier, ...findings].map(formatFinding)];
  const problem = write(join(folder, 'report.txt'), `${lines.join('\n')}\n`, false);
  return problem === undefined ? findings : [...findings, problem];
}

/** @param keep whether to keep an existing file with other content and report an error */
function write(file: string, text: string, keep: boolean): Finding | undefined {
  const at = (message: string): Finding => {
    return { file, line: 1, col: 1, level: 'error', code: 'unwritable-file', message };
  };
  try {
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, text, { flag: keep ? 'wx' : 'w' });
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') return at(`the file cannot be written: ${code}`);
    if (sameText(file, text)) return undefined;
    return at('the file already exists with other content: remove it, or choose another folder');
  }
}

function sameText(file: string, text: string): boolean {
  try {
    return readTextFile(file) === text;
  } catch {
    return false;
  }
}
