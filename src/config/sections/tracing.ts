import { share, text } from '../kinds.js';
import type { Environment } from '../place.js';
import { section } from '../setting.js';

/** `tracing`: distributed tracing. It is off if there is no endpoint. */
export const tracing = section(
  'Distributed tracing (OpenTelemetry over OTLP/HTTP). It is off without an endpoint; traceparent and tracestate then pass through unchanged.',
  {
    endpoint: text(
      'The URL that scopegate posts spans to, such as http://collector:4318/v1/traces. Absent: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or OTEL_EXPORTER_OTLP_ENDPOINT with /v1/traces behind it; off without these.',
    ),
    sample: share('Recorded share of the traces that begin at scopegate.', 1),
    serviceName: text('The service.name of the spans. Absent: OTEL_SERVICE_NAME, or scopegate.'),
  },
).as(({ endpoint: own, ...rest }, place) => {
  const endpoint = own ?? standardEndpoint(place.environment);
  if (endpoint !== undefined && !(URL.canParse(endpoint) && /^https?:$/.test(new URL(endpoint).protocol))) {
    const source = own === undefined ? 'OTEL_EXPORTER_OTLP_ENDPOINT' : 'tracing.endpoint';
    place.at('endpoint').error(`${source} must be an http or https URL`);
  }
  return { ...rest, ...(endpoint === undefined ? {} : { endpoint }) };
});

/** The endpoint from the standard variables of OpenTelemetry. */
function standardEndpoint({
  OTEL_SDK_DISABLED: disabled,
  OTEL_EXPORTER_OTLP_ENDPOINT: base = '',
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: exact = '',
}: Environment): string | undefined {
  if (disabled?.toLowerCase() === 'true') return undefined;
  if (exact !== '') return exact;
  return base === '' ? undefined : `${base.replace(/\/$/, '')}/v1/traces`;
}
