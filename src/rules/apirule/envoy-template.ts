import { TOKEN } from '../../parse/grammar.js';

/** What Envoy's pseudo header fields are in a template. */
const PSEUDO: Readonly<Record<string, string>> = {
  ':METHOD': '{{ .MatchContext.Method }}',
  ':AUTHORITY': '{{ .MatchContext.URL.Host }}',
};

/**
 * Converts a value of Envoy, which reads `%…%` as a command, to a template of a mutator. `%REQ(X)%` is a field of the
 * request, and `%%` is one `%`.
 *
 * @returns what is wrong with it if it holds another command, or what a mutator would read as a template
 */
export function envoyTemplate(text: string): { readonly template: string } | { readonly problem: string } {
  if (text.includes('{{'))
    return { problem: 'only a plain value is served, without {{; write the value itself' };
  const problems: string[] = [];
  const template = text.replace(/%(?:([^%]*)%)?/g, (whole, command: string | undefined) => {
    if (command === '') return '%';
    const [, name = ''] = /^REQ\(([^()?:]+|:METHOD|:AUTHORITY)\)$/.exec(command ?? '') ?? [];
    if (Object.hasOwn(PSEUDO, name)) return PSEUDO[name] as string;
    if (TOKEN.test(name)) return `{{ .MatchContext.Header.Get "${name}" }}`;
    problems.push(whole);
    return whole;
  });
  const [first] = problems;
  if (first === undefined) return { template };
  const what =
    first === '%'
      ? 'a % alone is no command of Envoy: write %%'
      : `${first} is a command of Envoy that is not served`;
  return { problem: `${what}; %REQ(NAME)% and plain values are. Remove it, or write the value itself` };
}
