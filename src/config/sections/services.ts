import { checkTemplate } from '../../rules/apirule/service.js';
import { map } from '../kinds.js';

/** `services`: the addresses of the services that APIRules name. */
export const services = map(
  'Addresses of the services of APIRules: an http or https origin for each `name.namespace`, for each `name`, or as `default`. {name}, {namespace} and {port} are replaced by the fields of the service.',
  { default: 'http://{name}:{port}' },
).check((templates, place) => {
  for (const [name, template] of Object.entries(templates)) {
    const problem = checkTemplate(template);
    if (problem !== undefined) place.at(name).problem(problem);
  }
});
