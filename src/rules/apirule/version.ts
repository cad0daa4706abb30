import type { Finding } from '../../document/finding.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import type { HandlerEntry } from './access-strategies.js';
import type { CorsEntry } from './cors.js';
import type { RuleOptions } from './options.js';

/** A spec, in whichever version it was written. */
export interface Spec {
  readonly hosts: readonly { readonly text: string; readonly path: Path }[];
  readonly service?: Service | undefined;
  /** Seconds. */
  readonly timeout?: number | undefined;
  readonly corsPolicy?: CorsEntry | null | undefined;
}

/** A service as an APIRule names it. */
export interface Service {
  readonly name: string;
  readonly namespace?: string;
  readonly port: number;
}

/** One element of `spec.rules`, in the words of v1beta1. */
export interface RuleEntry {
  readonly path: string;
  /** The path as it was written, where that is no expression. */
  readonly shown?: string;
  readonly methods: readonly string[];
  readonly service?: Service;
  readonly timeout?: number;
  readonly accessStrategies: readonly HandlerEntry[];
  readonly mutators?: readonly HandlerEntry[] | null;
  readonly scopegate?: RuleOptions;
}

/** A version of the APIRule: its schemas, and how it says what v1beta1 says. */
export interface ApiRuleVersion {
  /** JSON Schemas of the document, of its spec without the rules, and of one rule. */
  readonly documentSchema: object;
  readonly specSchema: object;
  readonly ruleSchema: object;
  /** Whether the upstream's CORS fields go where there is no policy. */
  readonly removesCors: boolean;
  /** @param value valid against `specSchema` */
  spec(value: unknown): Spec;
  /**
   * @param value valid against `ruleSchema`
   * @returns undefined after findings
   */
  entry(value: unknown, at: Path, document: SourceDocument, findings: Finding[]): RuleEntry | undefined;
  /** The document in which a place of v1beta1 is found where this version has it. */
  places(document: SourceDocument): SourceDocument;
  /** A message that names places of v1beta1, in this version's words. */
  words(message: string): string;
}
