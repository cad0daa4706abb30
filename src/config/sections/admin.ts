import { each, list, secretFile } from '../kinds.js';
import { section } from '../setting.js';

/** `admin`: who may read what and do what at the admin port. */
export const admin = section('Who may see and do what at the admin port.', {
  hosts: list(
    'Host names, besides IP addresses and localhost, under which the page, the rules, the purge of the cache and the metrics are reached: other names are refused, for a page of another site must not read them through a browser. The metrics are read under the names of a cluster or a compose file as well (docs/admin.md).',
    [],
  ).check(
    each((host, place) => {
      if (!/^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/i.test(host)) {
        place.problem('must be a host name without a port');
      }
    }),
  ),
  tokenFile: secretFile(
    'File that holds the bearer token for POST /cache/purge. Absent: only peers of the loopback interface may purge.',
  ),
}).as(({ tokenFile: token, ...rest }) => ({ ...rest, ...(token === undefined ? {} : { token }) }));
