import { each, list, secretFile } from '../kinds.js';
import { section } from '../setting.js';

/** `admin`: who may read what and do what at the admin port. */
export const admin = section('Who may use the admin port, and for what.', {
  hosts: list(
    'Host names under which browsers may use the admin page, read the rules and the metrics, and purge the cache, in addition to IP addresses and localhost. scopegate refuses other names, so that a page of another site cannot read them through a browser. Metrics can also be read under the names of a cluster or a compose file (docs/admin.md).',
    [],
  ).check(
    each((host, place) => {
      if (!/^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/i.test(host)) {
        place.problem('must be a host name without a port');
      }
    }),
  ),
  tokenFile: secretFile(
    'File with the bearer token for POST /cache/purge. Absent: only peers on the loopback interface may purge.',
  ),
}).as(({ tokenFile: token, ...rest }) => ({ ...rest, ...(token === undefined ? {} : { token }) }));
