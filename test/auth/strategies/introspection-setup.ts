import type { Test } from 'tap';
import { apiRule, startTestGateway, type TestGateway } from '../../gateway.js';

/** A gateway with one rule `/x` for each config, `/0`, `/1` … */
export const start = (
  t: Test,
  configs: readonly object[],
  tokens: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  introspection: object = {},
): Promise<TestGateway> =>
  startTestGateway(t, {
    rules: apiRule(
      'gate.example',
      configs.map((config, i) => ({
        path: `/${i}`,
        methods: ['GET'],
        accessStrategies: [{ handler: 'oauth2_introspection', config }],
      })),
    ),
    tokens,
    settings: { introspection },
  });
