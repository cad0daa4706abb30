import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { root } from '../root.js';

/** One normative statement of an RFC: a row of test/vectors/conformance.json. */
export interface Statement {
  readonly id: string;
  readonly rfc: string;
  readonly section: string;
  readonly level: string;
  readonly given: string;
  readonly when: string;
  readonly then: string;
}

const file = join(root, 'test/vectors/conformance.json');

/** Every statement. @throws where the file is absent */
export const statements = (JSON.parse(readFileSync(file, 'utf8')) as { statements: Statement[] }).statements;

/** Tests by the identifier of the statement they prove. */
export type Proofs = Readonly<Record<string, (t: Test) => Promise<unknown>>>;

/**
 * Runs one test a statement, each named by its identifier and its text, and fails for those that have none.
 *
 * @param prefixes of the identifiers that the proofs must cover
 */
export async function prove(t: Test, prefixes: readonly string[], proofs: Proofs): Promise<void> {
  const wanted = statements.filter(({ id }) => prefixes.some((prefix) => id.startsWith(prefix)));
  if (wanted.length === 0) t.fail(`no statement begins with ${prefixes}`);
  for (const { id, rfc, section, when, then } of wanted) {
    const proof = proofs[id];
    await t.test(`${id} ${rfc} §${section}: ${when}: ${then}`, async (t) => {
      if (proof === undefined) t.fail('no test proves this statement');
      else await proof(t);
    });
  }
  const unknown = Object.keys(proofs).filter((id) => !wanted.some((statement) => statement.id === id));
  t.same(unknown, [], 'every test belongs to a statement');
}
