import type { Finding } from '../../document/finding.js';
import { type Path, readDocuments, type SourceDocument } from '../../document/yaml.js';
import { isObject, type JsonObject, membersOf } from '../../model/json.js';
import { differingField } from './edited-export.js';
import { GROUP, VERSION } from './schema.js';
import { LATER_VERSIONS } from './v2.js';

/** The annotation in which Kyma keeps the v1beta1 spec of an APIRule that it shows in a later version. */
export const SPEC_ANNOTATION = `${GROUP}/v1beta1-spec`;
/** The annotation in which Kyma keeps the version that an APIRule was written in. */
export const VERSION_ANNOTATION = `${GROUP}/original-version`;

/** The document with the spec that applies, if there is one, and the findings. */
export interface Settled {
  readonly rule?: SourceDocument;
  readonly findings: Finding[];
}

/**
 * Decides which spec of an APIRule applies: the visible one, or the v1beta1 spec that Kyma keeps in an
 * annotation.
 *
 * - An APIRule that was written as v1beta1 is served from its annotation. If somebody edited the visible
 *   spec, so that the two differ, scopegate serves neither.
 * - Without `original-version`, the visible spec applies if it has rules, as in Kyma's own conversion.
 */
export function settleVersion(document: SourceDocument, fields: JsonObject): Settled {
  const { apiVersion } = fields;
  const annotations = membersOf(membersOf(fields.metadata).annotations);
  const annotation = annotations[SPEC_ANNOTATION];
  // An APIRule that was migrated to a later version still has the annotation with its old spec.
  const original = annotations[VERSION_ANNOTATION];
  if (apiVersion === VERSION && LATER_VERSIONS.includes(`${GROUP}/${original}`)) {
    const place = document.at(['metadata', 'annotations', VERSION_ANNOTATION]);
    const message =
      `was written as ${original}, and this is Kyma's translation to v1beta1, in which paths have another meaning; ` +
      'export the original: kubectl get apirules.v2.gateway.kyma-project.io';
    return { findings: [{ ...place, level: 'error', code: 'translated-export', message }] };
  }
  const annotated = typeof annotation === 'string' && (original ?? 'v1beta1') === 'v1beta1';
  const later = LATER_VERSIONS.includes(apiVersion as string);
  if (!annotated || (!later && apiVersion !== VERSION)) return { rule: document, findings: [] };

  const spec = membersOf(fields.spec);
  if (!later) {
    const empty = fields.spec === undefined || (isObject(fields.spec) && Object.keys(spec).length === 0);
    return empty ? fromAnnotation(document, fields, annotation) : { rule: document, findings: [] };
  }
  const kept = fromAnnotation(document, fields, annotation);
  const { rules } = spec;
  if (rules === undefined || rules === null || (Array.isArray(rules) && rules.length === 0)) return kept;
  const keptSpec = membersOf(kept.rule?.value).spec;
  if (keptSpec === undefined) return original === undefined ? { rule: document, findings: [] } : kept;
  const field = differingField(spec, keptSpec as JsonObject);
  if (field === undefined) return kept;
  const place = document.at(['metadata', 'annotations', SPEC_ANNOTATION]);
  if (original === undefined) {
    const message =
      `spec.${field} differs from the annotation ${SPEC_ANNOTATION}, and the annotation ${VERSION_ANNOTATION} is ` +
      'missing: scopegate uses spec, as Kyma does. Remove the annotation';
    return {
      rule: document,
      findings: [{ ...place, level: 'warning', code: 'annotation-ignored', message }],
    };
  }
  const message =
    `spec.${field} differs from the annotation ${SPEC_ANNOTATION}, which scopegate would serve. Remove the ` +
    'annotation if spec is right, or spec.rules if the annotation is right';
  return { findings: [{ ...place, level: 'error', code: 'edited-export', message }] };
}

/**
 * Makes a document whose spec is that of the annotation. All its positions are the position of the
 * annotation.
 */
function fromAnnotation(document: SourceDocument, fields: JsonObject, annotation: string): Settled {
  const place = document.at(['metadata', 'annotations', SPEC_ANNOTATION]);
  const inner = readDocuments(annotation, SPEC_ANNOTATION);
  const findings = inner.findings.map(({ level, code, message, line, col }): Finding => {
    return {
      ...place,
      level,
      code,
      message: `${message} (at ${line}:${col} in the annotation ${SPEC_ANNOTATION})`,
    };
  });
  if (findings.length > 0) return { findings };
  const [first, ...others] = inner.documents;
  const spec = first?.value;
  if (!isObject(spec) || others.length > 0) {
    const message = `the annotation ${SPEC_ANNOTATION} must hold one JSON object`;
    return { findings: [{ ...place, level: 'error', code: 'wrong-type', message }] };
  }
  const inSpec = (path: Path): boolean => path[0] === 'spec';
  const rule: SourceDocument = {
    file: document.file,
    value: { ...fields, apiVersion: VERSION, spec },
    at: (path) => (inSpec(path) ? place : document.at(path)),
    keyAt: (path) => (inSpec(path) ? place : document.keyAt(path)),
  };
  return { rule, findings };
}
