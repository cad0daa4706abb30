import { ExternalAuthorizer, type ExternalAuthorizerSettings } from '../../auth/authorizers/external.js';
import type { Finding } from '../../document/finding.js';
import { nearest } from '../../document/nearest.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import type { Mutator } from '../../model/mutator.js';

/**
 * Compiles the external authorizers that a rule of v2 names.
 *
 * @param base the path of the rule in the document
 * @param names the names of Istio's extension providers
 * @param known the authorizers of the settings
 */
export function compileExtAuth(
  document: SourceDocument,
  base: Path,
  names: readonly string[],
  known: readonly ExternalAuthorizerSettings[],
): { authorizers: Mutator[]; findings: Finding[] } {
  const authorizers: Mutator[] = [];
  const findings: Finding[] = [];
  names.forEach((name, index) => {
    const settings = known.find((each) => each.name === name);
    if (settings !== undefined) {
      authorizers.push(new ExternalAuthorizer(settings));
      return;
    }
    const path = [...base, 'extAuth', 'authorizers', index];
    const hint = nearest(
      name,
      known.map((each) => each.name),
    );
    const problem =
      `no external authorizer is called "${name}"; ` +
      (hint === undefined
        ? `say where Istio's extension provider is: set kyma.extAuthorizers to [{ name: ${name}, url: "http://…" }]. A provider ` +
          'that speaks gRPC or needs the body of the request cannot be asked. To serve the other APIRules of an export anyway, set kyma.unserved: leaveOut'
        : `did you mean "${hint}"?`);
    const message = `${path.join('.')}: ${problem}`;
    findings.push({ ...document.at(path), level: 'error', code: 'unsupported-handler', message });
  });
  return { authorizers, findings };
}
