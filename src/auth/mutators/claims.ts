import { isObject, type JsonObject } from '../../model/json.js';
import type { Session } from '../../model/mutator.js';
import { type Expression, parseTemplate, printed, TemplateError, toJson } from './template.js';

/**
 * A parsed template of a JSON object: texts, and expressions, each with whether it is inside quotation marks.
 */
export type ClaimsTemplate = readonly (string | { readonly value: Expression; readonly quoted: boolean })[];

/**
 * Parses a template that produces a JSON object. A value inside a JSON string is escaped; elsewhere it is
 * written as JSON. So no value can add a claim, whatever quotation marks it contains. A plain text template
 * would allow that.
 *
 * @throws TemplateError if the template uses an unsupported construct or does not produce a JSON object
 */
export function parseClaims(text: string): ClaimsTemplate {
  let inText = false;
  const template = parseTemplate(text).parts.map((part) => {
    if (typeof part !== 'string') return { value: part, quoted: inText };
    for (let i = 0; i < part.length; i++) {
      if (inText && part[i] === '\\') i++;
      else if (part[i] === '"') inText = !inText;
    }
    return part;
  });
  const sample = template.map((part) => (typeof part === 'string' ? part : part.quoted ? '' : '0')).join('');
  if (parseObject(sample) === undefined)
    throw new TemplateError('the template does not produce a JSON object');
  return template;
}

/** Renders the claims for one session. */
export function renderClaims(template: ClaimsTemplate, session: Session): JsonObject {
  const text = template
    .map((part) => {
      if (typeof part === 'string') return part;
      const value = part.value.evaluate(session);
      if (!part.quoted) return toJson(value);
      return JSON.stringify(part.value.json ? toJson(value) : printed(value)).slice(1, -1);
    })
    .join('');
  return parseObject(text) ?? {};
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
