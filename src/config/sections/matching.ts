import { checkHostTemplate } from '../../rules/apirule/service.js';
import { choice, each, list } from '../kinds.js';
import { section } from '../setting.js';

/** `matching`: how a request finds its rule. */
export const matching = section('How a request finds its rule.', {
  overlap: choice(
    'error: two rules that match one request are refused. specific: a rule whose paths are proved to lie inside those of another one wins there.',
    ['error', 'specific'],
    'error',
  ),
  serviceHosts: list(
    'Names of a rule’s service that requests may have as their host, beside the host of the APIRule. {name} and {namespace} stand for the fields of the service. For a sidecar on Kubernetes: {name}, {name}.{namespace}, {name}.{namespace}.svc and {name}.{namespace}.svc.cluster.local.',
    [],
  ).check(
    each((template, place) => {
      const problem = checkHostTemplate(template);
      if (problem !== undefined) place.problem(problem);
    }),
  ),
});
