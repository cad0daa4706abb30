import type { Finding } from '../../document/finding.js';
import { type ReadResult, readDocuments, type SourceDocument } from '../../document/yaml.js';
import { fileProblem, pathOfUrl } from '../../model/file-error.js';
import { readArgumentFile, UnusableFile } from '../../model/text-file.js';
import { items } from '../../rules/apirule/manifest.js';
import { globPattern, type Strategy } from './glob.js';
import { isConfiguration, OathkeeperConfig } from './oathkeeper.js';

/** Reads the documents of a file. A file that cannot be read is a finding. */
export function readFile(file: string): ReadResult {
  try {
    return readDocuments(readArgumentFile(file), file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined && !(error instanceof UnusableFile)) throw error;
    return { documents: [], findings: [unreadable(file, error)] };
  }
}

function unreadable(file: string, error: unknown): Finding {
  const message = `the file ${fileProblem(error)}`;
  return { file, line: 1, col: 1, level: 'error', code: 'unreadable-file', message };
}

/**
 * Reads Oathkeeper's configuration: from a file of its own, or from the ConfigMap or the list that holds it.
 *
 * @param findings gets what is wrong with the file
 * @returns undefined if there is none, or more than one
 */
export function readConfig(file: string, findings: Finding[]): OathkeeperConfig | undefined {
  const { documents, findings: found } = readFile(file);
  const problems = [...found];
  const all = documents
    .flatMap((document) => items(document, problems))
    .flatMap((document) => dataOf(document, problems)?.map(({ inner }) => inner) ?? [document])
    .filter(({ value }) => isConfiguration(value));
  findings.push(...problems);
  if (problems.some(({ level }) => level === 'error')) return undefined;
  const [document, second] = all;
  if (document !== undefined && second === undefined) return new OathkeeperConfig(document);
  const message =
    second === undefined
      ? 'this is not the configuration of Oathkeeper: it has none of access_rules, serve, authenticators'
      : 'this holds more than one configuration of Oathkeeper: write the one that counts into a file of its own';
  const at = second?.at([]) ?? { file, line: 1, col: 1 };
  findings.push({ ...at, level: 'error', code: 'not-a-configuration', message });
  return undefined;
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
        ? /^file:\/\//.test(each) && readRepository(each)
        : readDocuments(Buffer.from(inline, 'base64').toString(), 'access_rules.repositories (inline)');
    if (one === false) continue;
    read.documents.push(...one.documents);
    read.findings.push(...one.findings);
  }
  return read;
}

/** Oathkeeper also accepts `file://./rules.json`, which is not a valid file URL. */
function readRepository(url: string): ReadResult {
  const path = url.slice('file://'.length);
  try {
    return readFile(path.startsWith('/') ? pathOfUrl(url) : path);
  } catch (error) {
    if (!(error instanceof UnusableFile)) throw error;
    return { documents: [], findings: [unreadable(url, error)] };
  }
}

/** Replaces ConfigMaps by the documents with access rules that they hold. */
export function unfolded(documents: readonly SourceDocument[], findings: Finding[]): SourceDocument[] {
  return documents.flatMap((document) => {
    const inside = dataOf(document, findings);
    if (inside === undefined) return [document];
    return inside.flatMap(({ name, inner }) => {
      if (!isConfiguration(inner.value)) return [inner];
      findings.push({
        ...document.at(['data', name]),
        level: 'warning',
        code: 'not-carried-over',
        message: `data.${name}: Oathkeeper's configuration; give this file with --config, too`,
      });
      return [];
    });
  });
}

/** The documents in the JSON and YAML entries of a ConfigMap; undefined if the document is no ConfigMap. */
function dataOf(
  document: SourceDocument,
  findings: Finding[],
): { name: string; inner: SourceDocument }[] | undefined {
  const { kind, data } = (document.value ?? {}) as { kind?: unknown; data?: unknown };
  if (kind !== 'ConfigMap') return undefined;
  return Object.entries((data ?? {}) as Record<string, unknown>).flatMap(([name, text]) => {
    if (typeof text !== 'string' || !/\.(?:json|ya?ml)$/.test(name)) return [];
    const read = readDocuments(text, `${document.file}#${name}`);
    findings.push(...read.findings);
    return read.documents.map((inner) => ({ name, inner }));
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
