import type { Finding, Position } from '../document/finding.js';
import { nearest } from '../document/nearest.js';
import { type Path, readDocuments, type SourceDocument } from '../document/yaml.js';
import type { Environment } from './place.js';
import { type Leaf, leaves, type SettingSchema } from './schema.js';

export type { Environment } from './place.js';

const PREFIX = 'SCOPEGATE_';

/**
 * The name of the variable for a leaf: `SCOPEGATE_`, then the steps of the path in upper case, joined with
 * underscores. Inside a step, each camelCase boundary becomes an underscore too:
 * `introspection.clientAuth.clientSecretFile` is `SCOPEGATE_INTROSPECTION_CLIENT_AUTH_CLIENT_SECRET_FILE`.
 */
export function variableName(path: readonly string[]): string {
  return PREFIX + path.map(snake).join('_');
}

/**
 * All variable names that set a leaf. A step may also be written without its inner underscores
 * (`CLIENTAUTH`).
 */
export function variableNames(path: readonly string[]): string[] {
  return path
    .reduce<string[]>(
      (names, step) =>
        [...new Set([snake(step), step.toUpperCase()])].flatMap((form) =>
          names.map((name) => (name === '' ? form : `${name}_${form}`)),
        ),
      [''],
    )
    .map((name) => PREFIX + name);
}

function snake(step: string): string {
  return step.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase();
}

/** A leaf that an environment variable sets. */
interface Override {
  readonly name: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

/**
 * Overrides a settings document with the values of environment variables. A variable that names no setting is
 * an error: otherwise a typo in its name would leave a default in effect, and nobody would notice. Only the
 * variables that Kubernetes derives from a Service called `scopegate…` are ignored. The position of a value
 * from the environment has the file `env:NAME`.
 *
 * @returns the merged document of file and environment, to be validated as a whole
 */
export function withEnvironment(
  document: SourceDocument,
  environment: Environment,
): { document: SourceDocument; findings: Finding[] } {
  const known = new Map<string, Leaf>();
  for (const leaf of leaves()) for (const name of variableNames(leaf.path)) known.set(name, leaf);

  const findings: Finding[] = [];
  const overrides = new Map<Leaf, Override>();
  for (const name of Object.keys(environment)
    .filter((key) => key.startsWith(PREFIX))
    .sort()) {
    const text = environment[name];
    if (text === undefined) continue;
    const leaf = known.get(name);
    if (leaf === undefined) {
      if (isServiceLink(name, text)) continue;
      const hint = nearest(
        name,
        [...known.values()].map(({ path }) => variableName(path)),
      );
      const message = `no setting is called ${name}${hint === undefined ? '' : `; did you mean ${hint}?`}`;
      findings.push({ ...position(name), level: 'error', code: 'unknown-variable', message });
      continue;
    }
    const earlier = overrides.get(leaf);
    if (earlier !== undefined) {
      const message = `${earlier.name} sets ${leaf.path.join('.')} as well`;
      findings.push({ ...position(name), level: 'error', code: 'duplicate-variable', message });
      continue;
    }
    const read = interpret(text, leaf.schema, name);
    findings.push(...read.findings);
    if (read.findings.length === 0) overrides.set(leaf, { name, path: leaf.path, value: read.value });
  }
  return { document: overlay(document, [...overrides.values()]), findings };
}

function position(name: string): Position {
  return { file: `env:${name}`, line: 1, col: 1 };
}

/**
 * Whether Docker links or Kubernetes set this variable for a Service: `X_SERVICE_HOST`,
 * `X_SERVICE_PORT[_NAME]`, `X_PORT…=tcp://…`.
 */
function isServiceLink(name: string, text: string): boolean {
  return (
    /_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$/.test(name) ||
    (/_PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(text)) ||
    /_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)
  );
}

/**
 * Converts a variable's text to the type of its leaf. Text that does not fit the type stays text; the schema
 * then refuses it.
 */
function interpret(
  text: string,
  schema: SettingSchema,
  name: string,
): { value: unknown; findings: Finding[] } {
  switch (schema.type) {
    case 'integer':
      return { value: /^-?[0-9]{1,16}$/.test(text) ? Number(text) : text, findings: [] };
    case 'number':
      return { value: /^[0-9]{1,9}(\.[0-9]{1,9})?$/.test(text) ? Number(text) : text, findings: [] };
    case 'boolean':
      return { value: text === 'true' ? true : text === 'false' ? false : text, findings: [] };
    case 'array':
    case 'object':
      return structure(text, schema, name);
    default:
      return { value: text, findings: [] };
  }
}

/** Reads a map or a list. A map is YAML or JSON text; a list is that too, or items separated by commas. */
function structure(
  text: string,
  schema: SettingSchema,
  name: string,
): { value: unknown; findings: Finding[] } {
  if (schema.type === 'array' && !/^\s*(\[|- )/.test(text)) {
    return { value: text.split(',').map((item) => item.trim()), findings: [] };
  }
  const { documents, findings } = readDocuments(text, `env:${name}`);
  return { value: documents[0]?.value ?? (schema.type === 'array' ? [] : {}), findings };
}

function overlay(document: SourceDocument, overrides: readonly Override[]): SourceDocument {
  if (overrides.length === 0) return document;
  let value = document.value;
  for (const override of overrides) value = replace(value, override.path, override.value);
  const source = (path: Path): Position | undefined => {
    const found = overrides.find((override) => override.path.every((step, index) => step === path[index]));
    return found === undefined ? undefined : position(found.name);
  };
  return {
    file: document.file,
    value,
    at: (path) => source(path) ?? document.at(path),
    keyAt: (path) => source(path) ?? document.keyAt(path),
  };
}

/**
 * Returns a copy of `target` with `value` at `path`. If the file has a value on that path that is not a
 * mapping, the value stays and the schema refuses it.
 */
function replace(target: unknown, path: readonly string[], value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (target !== undefined && target !== null && (typeof target !== 'object' || Array.isArray(target)))
    return target;
  const fields = (target ?? {}) as Record<string, unknown>;
  return { ...fields, [step]: replace(fields[step], rest, value) };
}
