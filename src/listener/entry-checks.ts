import { type Denial, denial } from '../model/errors.js';
import type { ClientShares } from '../observe/client-shares.js';
import type { RequestRecord } from '../observe/request-record.js';
import type { ClientAddressReader } from '../parse/client-address.js';
import { type Fields, hasBody } from '../parse/fields.js';
import { forwardedScheme, SEVERAL_SCHEMES } from '../parse/forwarded-scheme.js';
import { FAILURES } from '../proxy/exchange-errors.js';

/** What {@link checkEntry} needs of the running gateway. */
export interface EntryChecks {
  /** Undefined if there are no limits per client. */
  readonly shares?: ClientShares | undefined;
  /** Returns the address of the client that sent a request, through any number of trusted proxies. */
  readonly clientAddress: ClientAddressReader;
}

/**
 * Checks a parsed request before the decision, and counts it in the share of its client.
 *
 * @param upgrade whether the request asks for another protocol
 * @returns the refusal; undefined if the request may go on
 */
export function checkEntry(
  record: RequestRecord,
  fields: Fields,
  upgrade: boolean,
  { shares, clientAddress }: EntryChecks,
): Denial | undefined {
  const { peer } = record;
  if (peer.trusted && forwardedScheme(fields) === null) return UNCLEAR_SCHEME;
  if (upgrade && hasBody(fields)) return UPGRADE_WITH_BODY;
  if (shares === undefined || record.takeShare(shares.of(clientAddress(peer, fields)))) return undefined;
  return FAILURES.too_many_requests;
}

const UNCLEAR_SCHEME = denial('malformed_request', SEVERAL_SCHEMES);
const UPGRADE_WITH_BODY = denial('malformed_request', 'an upgrade request with a body is not served');
