/** Something that the client over undici (undici-client.ts) does in another way than the program's own. */
export interface Difference {
  /** What it is about, in the words of the page. */
  readonly subject: string;
  /** What scopegate's own client does. */
  readonly own: string;
  /** What the one over undici does. */
  readonly undici: string;
  /** Why it is as it is in scopegate. */
  readonly reason: string;
  /** The tests that see it: a file of test/proxy, and the full names of the assertions that fail with undici. */
  readonly tests: readonly (readonly [file: string, assertions: RegExp])[];
  /** Whether it depends on how packets fall, so that a run may not see it. */
  readonly byChance?: boolean;
}

/**
 * Every difference between the two clients that the behaviour tests see. oracle.slow.ts fails where there is another
 * one, or where one of these is gone; docs/upstream-client.md is made from it.
 */
export const DIFFERENCES: readonly Difference[] = [
  {
    subject: '`100 Continue` that nobody asked for',
    own: 'dropped; the answer that follows is passed on',
    undici: 'ends the connection: 502',
    reason: 'Some servers send it unasked, and a proxy may discard it (RFC 9110 §15.2.1).',
    tests: [
      ['interim', /^R9110-11 early hints are passed on/],
      ['interim-answers', /^100 Continue that nobody asked for/],
    ],
  },
  {
    subject: 'interim answers without an end',
    own: '502 after sixteen, and one more for each second',
    undici: 'no bound',
    reason: 'An upstream that sends nothing else would hold a connection for ever.',
    tests: [
      ['faults', /> more interim answers than an honest upstream sends\b/],
      ['interim-answers', /^interim answers come as often as an honest upstream sends them/],
    ],
  },
  {
    subject: 'a reset in a body that only the connection’s end frames',
    own: 'the client sees the answer break off',
    undici: 'the client gets what has come as a whole answer',
    reason: 'A part of an answer must not pass for all of it (RFC 9112 §8).',
    tests: [['faults', /> an unframed body, reset/]],
  },
  {
    subject: 'a tab beside `chunked` or a length',
    own: '502',
    undici: 'accepted',
    reason: 'Parsers are known to which `chunked` with a tab is another coding.',
    tests: [
      ['faults', /> a tab (?:after Transfer-Encoding|before Content-Length)\b/],
      ['refused-answers', /^a tab before the coding in an answer/],
    ],
  },
  {
    subject: 'another transfer coding than `chunked`, two of them, or chunks in HTTP/1.0',
    own: '502',
    undici: 'accepted: read as chunks, or up to the end of the connection',
    reason:
      'Nobody can say where such an answer ends (RFC 9112 §6.1); a reader that is content with less reads another answer.',
    tests: [['refused-answers', /^(?:two codings|another coding|chunks in HTTP\/1\.0) in an answer/]],
  },
  {
    subject: 'a fault in the first bytes of a body',
    own: '502: a head waits for the bytes that came with it',
    undici: '200 that breaks off: the head is handed on before the body is looked at',
    reason: 'The client can still be told, and the audit line says the status that it got.',
    tests: [
      ['refused-answers', /^(?:a blank behind a chunk size|a chunk line without CR) in an answer/],
      ['hostile', /^what an upstream breaks in its first packet is 502/],
    ],
  },
  {
    subject: 'why an answer was refused',
    own: 'the audit line names the rule that it breaks',
    undici: 'one name for every fault that its parser finds',
    reason: '`answer_invalid` alone helps nobody to fix the upstream.',
    tests: [
      [
        'refused-answers',
        /^(?:line ends without CR|a control character|another protocol|a status line cut short|two lengths|a length that is none|a length beside chunks|a folded field) .*> should match pattern/,
      ],
    ],
  },
  {
    subject: '101 without Upgrade or Connection, or that nobody asked for',
    own: '502, and the audit line says why',
    undici: '502 by an assertion that fails inside of undici',
    reason: 'A wrong answer of an upstream is no mistake in the program.',
    tests: [
      ['refused-answers', /^101 that nobody asked for in an answer/],
      ['websocket/switching', /^a 101 that does not .*> (?:no Upgrade|no Connection|another Connection)$/],
    ],
  },
  {
    subject: '101 in an answer of HTTP/1.0',
    own: '502',
    undici: 'accepted: its handlers are not told the version of the answer',
    reason: 'HTTP/1.0 has no Upgrade (RFC 9110 §7.8).',
    tests: [['websocket/switching', /^a 101 that does not .*> (?:HTTP\/1\.0|should be equal)$/]],
  },
  {
    subject: 'an answer that pauses while its upstream ends the connection',
    own: 'goes on when its client reads on',
    undici: 'an assertion fails in an event of the socket, which nobody can catch: the process ends',
    reason: 'A fault ends one exchange. Runs of hostile answers find this, not each of them.',
    byChance: true,
    tests: [['hostile', /^hostile answers end one exchange each|^connect ECONNREFUSED|^error thrown/]],
  },
  {
    subject: 'an upload that goes on after its answer has begun',
    own: 'a byte either way keeps it alive',
    undici: 'ends when the answer pauses for `forward.idleTimeout`',
    reason: 'The setting says "either way": upstreams answer first and read on.',
    tests: [['shares', /^an upload goes on as long as bytes come, after its answer has begun/]],
  },
  {
    subject: '204 or 304 that states a length',
    own: 'whole: neither has content',
    undici:
      'an error, because no byte of that length came: the client’s connection breaks off behind the answer',
    reason:
      'A 304 may state the length that 200 would have (RFC 9110 §8.6); neither has a body (RFC 9112 §6.3).',
    tests: [['bodies', /^R9110-14 204 and 304 have no content/]],
  },
  {
    subject: 'where `Upgrade` stands in a handshake',
    own: 'last',
    undici: 'first',
    reason: 'Both are right; the order of different fields says nothing (RFC 9110 §5.3).',
    tests: [['websocket/handshake', /^the upstream is offered every subprotocol and extension, and chooses/]],
  },
];
