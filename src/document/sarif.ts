import type { Finding } from './finding.js';

/**
 * Formats findings as a SARIF 2.1.0 log. Code hosts show its results next to the lines that they are about.
 *
 * @param version the version of scopegate
 */
export function toSarif(findings: readonly Finding[], version: string): object {
  const codes = [...new Set(findings.map(({ code }) => code))].sort();
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'scopegate', version, rules: codes.map((id) => ({ id })) } },
        results: findings.map(({ file, line, col, level, code, message }) => ({
          ruleId: code,
          ruleIndex: codes.indexOf(code),
          level,
          message: { text: message },
          locations: [
            {
              physicalLocation: {
                artifactLocation: { uri: file.split('/').map(encodeURIComponent).join('/') },
                region: { startLine: line, startColumn: col },
              },
            },
          ],
        })),
      },
    ],
  };
}
