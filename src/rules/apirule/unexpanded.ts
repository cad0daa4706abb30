import type { Finding } from '../../document/finding.js';
import type { Path, SourceDocument } from '../../document/yaml.js';

/** What only Helm knows, of what stands between `{{` and `}}`: mutators have templates of their own. */
const HELM =
  /\{\{[^}]*(?:\.(?:Values|Release|Chart|Capabilities|Files|Template)\b|\b(?:include|template|tpl|toYaml|nindent|indent|lookup|required|define|block)\s|\$\.)/;

/** `${NAME}` (shells, envsubst, Terraform), `$(NAME)` (Kustomize, Tekton), and `$NAME` in capitals. */
const VARIABLE = /\$\{[A-Za-z_][^}]*\}|\$\([A-Za-z_][A-Za-z0-9_.-]*\)|(?<![\\$])\$[A-Z_][A-Z0-9_]+/;
/** Where no `$` can stand, `$name` is a variable as well. */
const ANY_VARIABLE = /\$\{[^}]*\}?|\$\([^)]*\)?|\$[A-Za-z_][A-Za-z0-9_]*/;
/** `{YOUR_DOMAIN}`, `<YOUR_DOMAIN>`: what documentation asks its reader to fill in. */
const PLACEHOLDER = /(?<!\\[pPu])\{[A-Z][A-Z0-9_-]+\}|<[A-Z][A-Z0-9_ -]+>/;
/** The same in any case, where braces and angle brackets have no meaning. */
const ANY_PLACEHOLDER = /\{\{?[A-Za-z][A-Za-z0-9_. -]*\}?\}|<[A-Za-z][A-Za-z0-9_. -]*>/;

/** Fields that hold a name, a host or a URL, by the last step of their paths that is no index. */
const PLAIN: ReadonlySet<string | number> = new Set([
  ...['name', 'namespace', 'host', 'hosts', 'gateway', 'externalGateway', 'port'],
  ...['issuer', 'jwksUri', 'jwks_urls', 'trusted_issuers', 'introspection_url', 'token_url', 'issuer_url'],
  ...['jwks_url', 'check_session_url', 'url'],
]);

/** The most characters of one text that are looked at: what is longer than any pattern may be is data. */
const MAX_TEXT = 4_096;

/** Fields whose value must not be shown. */
const SECRET = /secret|password/i;

/** Fields whose value is an expression, in which braces, brackets and `$` have meanings. */
const EXPRESSIONS: ReadonlySet<string | number> = new Set(['path', 'pattern', 'regex']);

/**
 * Finds what somebody forgot to fill in: variables of shells, envsubst and Kustomize, placeholders of documentation,
 * and templates of Helm, wherever they stand in an APIRule.
 *
 * @returns one finding a place, with the path of the place; a template is one finding for the whole APIRule
 */
export function findUnexpanded(
  document: SourceDocument,
): { readonly path: Path; readonly finding: Finding }[] {
  const { metadata, spec } = (document.value ?? {}) as Readonly<Record<string, unknown>>;
  const { name, namespace } = (metadata ?? {}) as Readonly<Record<string, unknown>>;
  const found: { path: Path; finding: Finding }[] = [];
  let template: Path | undefined;

  const report = (path: Path, what: string, shown: string): void => {
    const message = `${path.join('.')}: holds the ${what} ${shown}, which nothing has expanded: put its value there${
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
      // A secret may hold a dollar sign, and a finding must not repeat a part of it.
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
    // `host: {DOMAIN}` without quotes is a mapping to YAML.
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

/** The one finding of a file that is a template. */
export function templateFinding(position: { file: string; line: number; col: number }): Finding {
  const message =
    'the file is a template ({{ … }}), not yet a manifest: render it first, a Helm chart with helm template';
  return { ...position, level: 'error', code: 'unrendered-template', message };
}

/**
 * Finds out whether YAML cannot read a file because it is a template.
 *
 * @param text the file, which YAML cannot read
 * @returns a finding at the first `{{`; undefined if there is none outside of quotes and comments
 */
export function templateIn(text: string, file: string): Finding | undefined {
  for (const [index, line] of text.split('\n').entries()) {
    const [before, template] = /^[^#"'|]*?(?=(\{\{[^}]*))/.exec(line) ?? [];
    if (before === undefined || template === undefined) continue;
    const position = { file, line: index + 1, col: before.length + 1 };
    if (!/\.(?:Subject|Extra|MatchContext)\b/.test(template)) return templateFinding(position);
    const message = "a mutator's template must be in quotes: to YAML, { begins a mapping";
    return { ...position, level: 'error', code: 'yaml-syntax', message };
  }
  return undefined;
}
