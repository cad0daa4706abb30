import { DIFFERENCES } from '../proxy/upstream/differences.js';

/**
 * The page about the client that sends requests upstream, docs/upstream-client.md, made from the list of differences.
 *
 * @returns the whole page in Markdown
 */
export function upstreamClientPage(): string {
  const rows = DIFFERENCES.map(({ subject, own, undici, reason, tests }) => {
    const links = [...new Set(tests.map(([file]) => file))].map(
      (file) => `[${file}](../test/proxy/${file}.test.ts)`,
    );
    return `| ${subject} | ${own} | ${undici} | ${reason} | ${links.join(', ')} |`;
  });
  return `${[INTRODUCTION, [HEADER, ...rows].join('\n'), UNDICI].join('\n\n')}\n`;
}

const INTRODUCTION = `# The upstream client

<!-- Made from test/proxy/upstream/differences.ts by \`npm run docs\`; a test keeps the two the same. -->

An HTTP/1.1 client of scopegate's own sends requests to upstreams, behind one interface,
[\`UpstreamClient\`](../src/proxy/upstream/client.ts). It refuses what undici accepts or passes on, and it costs less:

| request, cached token | CPU time with undici behind the same interface |
|---|---|
| GET | 1.04 and 1.18 times as much |
| POST with a small body | 1.76 and 1.86 times as much |

These are two interleaved runs of 9 and 15 rounds of 12,000 requests, on 28 November 2026 with Node 20. The forwarding code knows only the interface,
so another client can take its place.

To keep this choice honest, tests have a second implementation of the interface, over undici's dispatch
([test/proxy/upstream/undici-client.ts](../test/proxy/upstream/undici-client.ts)). A slow check runs those behaviour tests of
\`test/proxy\` against it that start a gateway ([test/proxy/upstream/oracle.slow.ts](../test/proxy/upstream/oracle.slow.ts)). It fails if
the two differ in something that is not in the table below, or no longer differ in something that is.

\`\`\`sh setup
npm run -s build:all
UPSTREAM_CLIENT=undici node build/test/proxy/bodies.test.js
\`\`\`

## Where the two differ`;

const HEADER = '| about | our client | undici | why ours does so | seen by |\n|---|---|---|---|---|';

const UNDICI = `## What undici does in scopegate

undici's connector opens every connection to an upstream: name resolution, TLS, session resumption, the time limit
([src/tls/connector.ts](../src/tls/connector.ts)). Its \`Agent\` makes the introspection and every other outbound call: key sets, tokens of the
gateway's own, hydrators, session checks, Hydra's admin port.`;
