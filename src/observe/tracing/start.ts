import type { Tracing, TracingOptions } from './trace.js';

/** Starts tracing. The SDK is loaded only now: a gateway that does not trace does not hold it. */
export async function startTracing(options: TracingOptions): Promise<Tracing> {
  const { startTracing: start } = await import('./otlp.js');
  return start(options);
}
