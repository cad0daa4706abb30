import type { Finding } from '../document/finding.js';
import { readDocuments, type SourceDocument } from '../document/yaml.js';
import { fileProblem } from '../model/file-error.js';
import { readArgumentFile } from '../model/text-file.js';

/**
 * Reads the settings file, which is one YAML or JSON document. It is not validated yet.
 *
 * @returns the document, or only the findings if it cannot be read. An empty file gives an empty document,
 *   because the environment may set everything.
 */
export function readSettingsFile(file: string): { document?: SourceDocument; findings: Finding[] } {
  let text: string;
  try {
    text = readArgumentFile(file);
  } catch (error) {
    return { findings: [at(file, 'unreadable-file', `the settings file ${file} ${fileProblem(error)}`)] };
  }
  const { documents, findings } = readDocuments(text, file);
  if (findings.length > 0) return { findings };
  const [first, second] = documents;
  if (second !== undefined) {
    const message = 'the settings file has more than one YAML document; keep one';
    return { findings: [{ ...second.at([]), level: 'error', code: 'invalid-value', message }] };
  }
  return { document: first ?? empty(file), findings: [] };
}

function empty(file: string): SourceDocument {
  const start = { file, line: 1, col: 1 };
  return { file, value: {}, at: () => start, keyAt: () => start };
}

function at(file: string, code: string, message: string): Finding {
  return { file, line: 1, col: 1, level: 'error', code, message };
}
