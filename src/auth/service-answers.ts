import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { MutatorServices } from '../model/mutator.js';

/** The memory that an answer takes in addition to its content, in bytes. */
const ENTRY = 304;
/** The memory for the answers to all instances of one kind, in bytes: some ten thousand of the usual size. */
const BYTES = 16_777_216;

/**
 * The cached answers of the services that one kind of authorizer or mutator asks. All instances of the kind share
 * one limit of memory, and no instance sees the answers of another one.
 */
export class ServiceAnswers<T extends object> {
  readonly #answers = new LRUCache<string, { readonly answer: T; readonly until: number }>({
    maxSize: BYTES,
  });
  readonly #sizeOf: (answer: T) => number;
  #instances = 0;

  /** @param sizeOf the memory that the content of an answer takes, in bytes */
  constructor(sizeOf: (answer: T) => number) {
    this.#sizeOf = sizeOf;
  }

  /** @param ttl the seconds for which an answer is used; 0 keeps none */
  forInstance(ttl: number): InstanceAnswers<T> {
    const instance = ++this.#instances;
    // What was asked may contain a credential, so the cache key is its digest.
    const keyOf = (question: string): string => `${instance} ${hash('sha256', question, 'base64')}`;
    return {
      get: (question, { now }) => {
        const known = ttl > 0 ? this.#answers.get(keyOf(question)) : undefined;
        return known !== undefined && now() < known.until ? known.answer : undefined;
      },
      set: (question, answer, { now }) => {
        if (ttl === 0) return;
        const size = ENTRY + this.#sizeOf(answer);
        this.#answers.set(keyOf(question), { answer, until: now() + ttl }, { size });
      },
    };
  }
}

/** The cached answers of one instance, by what was asked. */
export interface InstanceAnswers<T extends object> {
  /** @returns undefined if there is none, or if it has expired */
  get(question: string, clock: Pick<MutatorServices, 'now'>): T | undefined;
  set(question: string, answer: T, clock: Pick<MutatorServices, 'now'>): void;
}
