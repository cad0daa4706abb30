import type { Finding } from '../../document/finding.js';
import type { Path, SourceDocument } from '../../document/yaml.js';

/** Content of `{{ }}` that only Helm understands. Other content may be a template of a mutator. */
const HELM =
  /\{\{[^}]*(?:\.(?:Values|Release|Chart|Capabilities|Files|Template)\b|\b(?:include|template|tpl|toYaml|nindent|indent|lookup|required|define|block)\s|\$\.)/;

/** `${NAME}` (shells, envsubst, Terraform), `$(NAME)` (Kustomize, Tekton), and `$NAME` in capitals. */
const VARIABLE = /\$\{[A-Za-z_][^}]*\}|\$\([A-Za-z_][A-Za-z0-9_.-]*\)|(?<![\\$])\$[A-Z_][A-Z0-9_]+/;
/** In fields that cannot contain a `$`, `$name` in lower case is a variable too. */
const ANY_VARIABLE = /\$\{[^}]*\}?|\$\([^)]*\)?|\$[A-Za-z_][A-Za-z0-9_]*/;
/** `{YOUR_DOMAIN}`, `<YOUR_DOMAIN>`: placeholders in documentation, which the reader must replace. */
const PLACEHOLDER = /(?<!\\[pPu])\{[A-Z][A-Z0-9_-]+\}|<[A-Z][A-Z0-9_ -]+>/;
/** The same in upper or lower case, for fields in which braces and angle brackets have no meaning. */
const ANY_PLACEHOLDER = /\{\{?[A-Za-z][A-Za-z0-9_. -]*\}?\}|<[A-Za-z][A-Za-z0-9_. -]*>/;

/** Fields that hold a name, a host or a URL. The key is the last step of the path that is not an index. */
const PLAIN: ReadonlySet<string | number> = new Set([
  ...['name', 'namespace', 'host', 'hosts', 'gateway', 'externalGateway', 'port'],
  ...['issuer', 'jwksUri', 'jwks_urls', 'trusted_issuers', 'introspection_url', 'token_url', 'issuer_url'],
  ...['jwks_url', 'check_session_url', 'url'],
]);

/**
 * The longest text that is searched, in characters. A longer text is data: it is longer than any pattern may
 * be.
 */
const MAX_TEXT = 4_096;

/** Fields whose value must not be printed. */
const SECRET = /secret|password/i;

/** Fields that hold an expression, in which braces, brackets and `$` have a meaning. */
const EXPRESSIONS: ReadonlySet<string | number> = new Set(['path', 'pattern', 'regex']);

/**
 * Finds what the author forgot to fill in, anywhere in an APIRule: variables of shells, envsubst and
 * Kustomize, placeholders from documentation, and Helm templates.
 *
 * @returns one finding per place, with the path of the place. A template gives only one finding for the whole
 *   APIRule.
 */
export function findUnexpanded(
  document: SourceDocument,
): { readonly path: Path; readonly finding: Finding }[] {
  const { metadata, spec } = (document.value ?? {}) as Readonly<Record<string, unknown>>;
  const { name, namespace } = (metadata ?? {}) as Readonly<Record<string, unknown>>;
  const found: { path: Path; finding: Finding }[] = [];
  let template: Path | undefined;

  const report = (path: Path, what: string, shown: string): void => {
    const message = `${path.join('.')}: contains the ${what} ${shown}, which was not replaced: write its value instead${
      what === 'variable' ? ', for example with envsubst' : ''
    }`;
    found.push({
      path,
      finding: { ...document.at(path), level: 'error', code: 'unexpanded-variable', message },
    });
  };
  const look = (whole: string, path: Path): void => {
    const text = whole.slice(0, MAX_TEXT);
    const field = path.findLast((step) => typeof step === 'string') ?? '';
    const plain = PLAIN.has(field) && !path.includes('mutators') && !path.includes('request');
    if (HELM.test(text) || (plain && text.includes('{{'))) template ??= path;
    const variable = (plain ? ANY_VARIABLE : VARIABLE).exec(text);
    if (variable !== null) {
      // A secret may contain a dollar sign, and a finding must not print part of a secret.
      if (SECRET.test(String(field)) && variable[0] !== text) return;
      report(path, 'variable', variable[0].replace(/^(\$[{(][A-Za-z0-9_]*)[^A-Za-z0-9_].*([})])$/s, '$1$2'));
    } else if (!EXPRESSIONS.has(field)) {
      const placeholder = (plain ? ANY_PLACEHOLDER : PLACEHOLDER).exec(text);
      if (placeholder !== null) report(path, 'placeholder', placeholder[0]);
    }
  };
  const walk = (value: unknown, path: Path): void => {
    if (typeof value === 'string') look(value, path);
    if (typeof value !== 'object' || value === null) return;
    const [key, ...others] = Object.entries(value);
    // YAML reads `host: {DOMAIN}` without quotes as a mapping.
    if (others.length === 0 && key !== undefined && key[1] === null && /^[A-Z][A-Z0-9_-]+$/.test(key[0])) {
      report(path, 'placeholder', `{${key[0]}}`);
      return;
    }
    for (const [step, item] of Object.entries(value)) {
      walk(item, [...path, Array.isArray(value) ? Number(step) : step]);
    }
  };
  walk(name, ['metadata', 'name']);
  walk(namespace, ['metadata', 'namespace']);
  walk(spec, ['spec']);
  if (template === undefined) return found;
  return [{ path: [], finding: templateFinding(document.at(template)) }];
}

/** The single finding of a file that is a template. */
export function templateFinding(position: { file: string; line: number; col: number }): Finding {
  const message =
    'the file is a template ({{ … }}), not a manifest: render it first, a Helm chart with helm template';
  return { ...position, level: 'error', code: 'unrendered-template', message };
}

/**
 * Checks whether YAML cannot parse a file because the file is a template.
 *
 * @param text the content of the file, which YAML could not parse
 * @returns a finding at the first `{{`; undefined if there is none outside of quotes and comments
 */
export function templateIn(text: string, file: string): Finding | undefined {
  for (const [index, line] of text.split('\n').entries()) {
    const [before, template] = /^[^#"'|]*?(?=(\{\{[^}]*))/.exec(line) ?? [];
    if (before === undefined || template === undefined) continue;
    const position = { file, line: index + 1, col: before.length + 1 };
    if (!/\.(?:Subject|Extra|MatchContext)\b/.test(template)) return templateFinding(position);
    const message = 'put the template of a mutator in quotes: in YAML, { begins a mapping';
    return { ...position, level: 'error', code: 'yaml-syntax', message };
  }
  return undefined;
}
