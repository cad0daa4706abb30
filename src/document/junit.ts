import { escaped } from './one-line.js';

/** One test of a JUnit report. */
export interface JunitCase {
  readonly name: string;
  /** The file or the APIRule that the test belongs to. */
  readonly of: string;
  /** Why the test failed; undefined if it passed. */
  readonly failure?: string | undefined;
}

/** Formats a report in the JUnit format that CI servers read (https://github.com/testmoapp/junitxml). */
export function toJunit(suite: string, cases: readonly JunitCase[]): string {
  const failures = cases.filter(({ failure }) => failure !== undefined).length;
  const lines = cases.map(({ name, of, failure }) => {
    const start = `    <testcase name="${xmlText(name)}" classname="${xmlText(of)}"`;
    if (failure === undefined) return `${start}/>`;
    const [first = ''] = failure.split('\n');
    return `${start}><failure message="${xmlText(first)}">${xmlText(failure)}</failure></testcase>`;
  });
  const counts = `tests="${cases.length}" failures="${failures}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts}>`,
    `  <testsuite name="${xmlText(suite)}" ${counts}>`,
    ...lines,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

/**
 * Escapes a text for XML. XML 1.0 cannot represent most control characters (§2.2), so they are written as
 * JSON escapes.
 */
function xmlText(text: string): string {
  return text
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, escaped)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\r', '&#13;')
    .replaceAll('\n', '&#10;');
}
