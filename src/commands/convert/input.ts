import { fileURLToPath } from 'node:url';
import type { Finding } from '../../document/finding.js';
import { type ReadResult, readDocuments, type SourceDocument } from '../../document/yaml.js';
import { fileProblem } from '../../model/file-error.js';
import { NotText, readTextFile } from '../../model/text-file.js';
import { globPattern, type Strategy } from './glob.js';
import { isConfiguration, type OathkeeperConfig } from './oathkeeper.js';

/** Reads the documents of a file. A file that cannot be read is a finding. */
export function readFile(file: string): ReadResult {
  try {
    return readDocuments(readTextFile(file), file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined && !(error instanceof NotText)) throw error;
    const finding: Finding = {
      ...{ file, line: 1, col: 1 },
      level: 'error',
      code: 'unreadable-file',
      message: `the file ${fileProblem(error)}`,
    };
    return { documents: [], findings: [finding] };
  }
}

/** Reads the rules that Oathkeeper's configuration names: in files, or in the configuration itself. */
export function readRepositories(config: OathkeeperConfig): ReadResult {
  const list = config.at('access_rules', 'repositories');
  const read: ReadResult = { documents: [], findings: [] };
  for (const each of Array.isArray(list) ? (list as unknown[]) : []) {
    if (typeof each !== 'string') continue;
    const inline = /^inline:\/\/(.*)$/s.exec(each)?.[1];
    const one =
      inline === undefined
        ? /^file:\/\//.test(each) && readFile(pathOf(each))
        : readDocuments(Buffer.from(inline, 'base64').toString(), 'access_rules.repositories (inline)');
    if (one === false) continue;
    read.documents.push(...one.documents);
    read.findings.push(...one.findings);
  }
  return read;
}

/** Oathkeeper also accepts `file://./rules.json`, which is not a valid file URL. */
function pathOf(url: string): string {
  const path = url.slice('file://'.length);
  return path.startsWith('/') ? fileURLToPath(url) : path;
}

/** Replaces ConfigMaps by the documents with access rules that they hold. */
export function unfolded(documents: readonly SourceDocument[], findings: Finding[]): SourceDocument[] {
  return documents.flatMap((document) => {
    const { kind, data } = (document.value ?? {}) as { kind?: unknown; data?: unknown };
    if (kind !== 'ConfigMap') return [document];
    return Object.entries((data ?? {}) as Record<string, unknown>).flatMap(([name, text]) => {
      if (typeof text !== 'string' || !/\.(?:json|ya?ml)$/.test(name)) return [];
      const read = readDocuments(text, `${document.file}#${name}`);
      findings.push(...read.findings);
      return read.documents.filter(({ value }) => {
        if (!isConfiguration(value)) return true;
        findings.push({
          ...document.at(['data', name]),
          level: 'warning',
          code: 'not-carried-over',
          message: `data.${name}: Oathkeeper's configuration; write it into a file, and give that with --config`,
        });
        return false;
      });
    });
  });
}

/**
 * How to match the URLs of a document, if neither the command nor the configuration says it. The answer is
 * globs if one of its expressions is a glob but not a regular expression. Oathkeeper has one strategy for all
 * rules.
 */
export function strategyOf({ value }: SourceDocument): Strategy {
  const rules = Array.isArray(value) ? value : [value];
  const inside = rules.flatMap(
    (rule: { match?: { url?: unknown }; spec?: { match?: { url?: unknown } } } | null) => {
      const url = rule?.match?.url ?? rule?.spec?.match?.url;
      return typeof url === 'string' ? [...url.matchAll(/<([^<>]*)>/g)].map(([, text = '']) => text) : [];
    },
  );
  return inside.some((text) => !isRegExp(text) && isGlob(text)) ? 'glob' : 'regexp';
}

function isRegExp(text: string): boolean {
  try {
    return text !== '' && new RegExp(text) !== undefined;
  } catch {
    return false;
  }
}

function isGlob(text: string): boolean {
  try {
    return new RegExp(globPattern(text)) !== undefined;
  } catch {
    return false;
  }
}
