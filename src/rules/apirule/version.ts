import type { Finding } from '../../document/finding.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import type { HandlerEntry } from './access-strategies.js';
import type { CorsEntry } from './cors.js';
import type { RuleOptions } from './options.js';

/** A spec of any version, in a common form. */
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

/** One element of `spec.rules`, in the form of v1beta1. */
export interface RuleEntry {
  readonly path: string;
  /** The path as it was written, if that is not an expression. */
  readonly shown?: string;
  readonly methods: readonly string[];
  readonly service?: Service;
  readonly timeout?: number;
  readonly accessStrategies: readonly HandlerEntry[];
  readonly mutators?: readonly HandlerEntry[] | null;
  readonly scopegate?: RuleOptions;
  /** The names of the external authorizers that must allow a request, in order. */
  readonly extAuth?: readonly string[];
}

/** A version of the APIRule: its schemas, and its conversion to the form of v1beta1. */
export interface ApiRuleVersion {
  /** JSON Schemas of the document, of its spec without the rules, and of one rule. */
  readonly documentSchema: object;
  readonly specSchema: object;
  readonly ruleSchema: object;
  /** Whether the upstream's CORS fields are removed if there is no policy. */
  readonly removesCors: boolean;
  /** @param value is valid by `specSchema` */
  spec(value: unknown): Spec;
  /**
   * @param value is valid by `ruleSchema`
   * @returns undefined if findings were added
   */
  entry(value: unknown, at: Path, document: SourceDocument, findings: Finding[]): RuleEntry | undefined;
  /** A document that takes paths in the form of v1beta1 and gives the positions in this version's document. */
  places(document: SourceDocument): SourceDocument;
  /** Replaces the paths of v1beta1 in a message by those of this version. */
  words(message: string, document: SourceDocument): string;
}
