import type { Finding } from './finding.js';

/**
 * Formats findings as workflow commands of GitHub Actions, which shows them next to the changed lines
 * (https://docs.github.com/actions/reference/workflow-commands-for-github-actions).
 */
export function toGithub(findings: readonly Finding[]): string {
  return findings
    .map(({ file, line, col, level, code, message }) => {
      const place = `file=${property(file)},line=${line},col=${col},title=${property(code)}`;
      return `::${level} ${place}::${data(message)}\n`;
    })
    .join('');
}

function data(text: string): string {
  // Remove control characters, because people also read this log in a terminal.
  const shown = text.replace(/[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, ' ');
  return shown.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
