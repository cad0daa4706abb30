import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { Agent } from 'undici';
import { startGateway } from '../../src/app/gateway.js';
import { loadOptions } from '../../src/commands/load.js';
import { loadRules } from '../../src/rules/load.js';
import { mountConfigMap } from '../configmap.js';
import { apiRule, rule } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { settingsFor } from '../settings.js';
import { startUpstream } from '../upstream.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const RELOADS = 1_000;
/** Two files that only fit together: one generation guards /a and opens /b by scope x, the next by scope y. */
const generation = (scope: string): Record<string, string> => ({
  'a.yaml': apiRule('gate.example', [rule('/a', ['GET'], scope)], 'a'),
  'b.yaml': apiRule('gate.example', [rule('/b', ['GET'], scope)], 'b'),
});

t.test(
  '1,000 reloads under load, valid and broken in turn: no failed request, no mixed set, no growth',
  async (t) => {
    const endpoint = await startIntrospection({
      x: { scope: 'x' },
      y: { scope: 'y' },
      both: { scope: 'x y' },
    });
    const upstream = await startUpstream();
    const map = mountConfigMap(generation('x'));
    const settings = settingsFor([map.folder], {
      services: { default: upstream.url },
      introspection: { url: endpoint.url },
      reload: { watch: false },
    });
    const load = async (version: number) => loadRules([map.folder], loadOptions(settings, version));
    const { table } = await load(1);
    if (table === undefined) throw new Error('the first set must load');
    const gateway = await startGateway(settings, table, { load, destination: { write: () => {} } });
    const agent = new Agent({ connections: 8 });
    t.teardown(async () => {
      await agent.destroy();
      await gateway.close();
      await Promise.all([endpoint.close(), upstream.close()]);
      map.remove();
    });

    const ask = async (path: string, token: string): Promise<number> => {
      const { statusCode, body } = await agent.request({
        origin: gateway.proxyUrl,
        path,
        method: 'GET',
        headers: { host: 'gate.example', authorization: `Bearer ${token}` },
      });
      await body.dump();
      return statusCode;
    };
    let running = true;
    let requests = 0;
    const wrong: number[] = [];
    const client = async (): Promise<void> => {
      while (running) {
        // Whatever generation is in force, this token may do both.
        for (const path of ['/a', '/b']) {
          const status = await ask(path, 'both');
          requests++;
          if (status !== 200) wrong.push(status);
        }
      }
    };
    const clients = Array.from({ length: 8 }, client);
    const heap: number[] = [];
    const mixed: number[][] = [];
    let scope = 'x';
    for (let i = 0; i < RELOADS; i++) {
      if (i % 2 === 0) {
        scope = scope === 'x' ? 'y' : 'x';
        map.update(generation(scope));
      } else {
        map.update({ ...generation(scope === 'x' ? 'y' : 'x'), 'b.yaml': '{ broken: [' });
      }
      await gateway.reload();
      // Both rules are of one generation: the other generation's token opens neither.
      const other = scope === 'x' ? 'y' : 'x';
      const own = await Promise.all([ask('/a', scope), ask('/b', scope)]);
      const others = await Promise.all([ask('/a', other), ask('/b', other)]);
      if (own.join() !== '200,200' || others.join() !== '403,403') mixed.push([i, ...own, ...others]);
      if (i % 100 === 99) {
        // What the fixtures remember is no growth of the gateway.
        upstream.received.length = 0;
        endpoint.requests.length = 0;
        collectGarbage();
        heap.push(process.memoryUsage().heapUsed);
      }
    }
    running = false;
    await Promise.all(clients);
    t.same(wrong, [], `${requests} requests, none failed`);
    t.same(mixed, [], 'no decision of two sets');
    const [early = 0, late = 0] = [heap[2], heap.at(-1)];
    t.ok(
      late < early + 8_000_000,
      `heap ${Math.round(early / 1e6)} MB after 300, ${Math.round(late / 1e6)} MB after 1000`,
    );
    t.comment(`${RELOADS} reloads, ${requests} requests`);
  },
);
