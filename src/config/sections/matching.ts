import { checkHostTemplate } from '../../rules/apirule/service.js';
import { choice, each, list } from '../kinds.js';
import { section } from '../setting.js';

/** `matching`: how a request finds its rule. */
export const matching = section('How scopegate finds the rule of a request.', {
  overlap: choice(
    'error: scopegate refuses two rules that match one request. specific: if the paths of one rule provably lie inside those of another, the inner rule decides there.',
    ['error', 'specific'],
    'error',
  ),
  serviceHosts: list(
    'Host names of a rule’s service that requests may use in addition to the host of the APIRule. {name} and {namespace} are replaced by the fields of the service. For a sidecar on Kubernetes: {name}, {name}.{namespace}, {name}.{namespace}.svc and {name}.{namespace}.svc.cluster.local.',
    [],
  ).check(
    each((template, place) => {
      const problem = checkHostTemplate(template);
      if (problem !== undefined) place.problem(problem);
    }),
  ),
});
