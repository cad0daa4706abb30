import type { IncomingMessage } from 'node:http';
import {
  type Attributes,
  type Context,
  createTraceState,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { METHODS } from '../../model/methods.js';
import { fieldValues } from '../../parse/fields.js';
import type { Peer } from '../../parse/peer.js';
import type { AuditEntry, Entrance } from '../audit.js';
import { causeOf } from '../redaction.js';
import { version } from '../version.js';
import type { CallPurpose, CallSpan, RequestTrace, TraceTimes, Tracing, TracingOptions } from './trace.js';

/** `traceparent` (W3C Trace Context §3.2). A later version may append fields; they must not be passed on. */
const TRACEPARENT =
  /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;
/** The most characters of `tracestate` that are passed on (W3C Trace Context §3.3.1.1 allows a limit). */
const MAX_TRACESTATE = 8_192;

/**
 * Starts tracing with OpenTelemetry's SDK. Nothing is registered globally, so that other users of the SDK in
 * this process are not affected; contexts are passed as values.
 *
 * The exporter itself reads OTEL_EXPORTER_OTLP_HEADERS and similar variables, the resource
 * OTEL_RESOURCE_ATTRIBUTES.
 */
export function startTracing(options: TracingOptions): Tracing {
  const resource = resourceFromAttributes({ 'service.name': 'scopegate', 'service.version': version })
    .merge(detectResources({ detectors: [envDetector] }))
    .merge(
      resourceFromAttributes(
        options.serviceName === undefined ? {} : { 'service.name': options.serviceName },
      ),
    );
  const exporter = new OTLPTraceExporter({ url: options.endpoint });
  const provider = new TracerProvider({
    resource,
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.sample) }),
    spanProcessors: [new BatchSpanProcessor({ exporter: reporting(exporter, options.onExport) })],
  });
  const tracer = provider.getTracer('scopegate', version);
  return {
    begin: (entrance, message, peer, started) => new Traced(tracer, entrance, message, peer, started),
    async close() {
      await provider.shutdown().catch((error: unknown) => options.onExport(0, causeOf(error)));
    },
  };
}

/** Wraps an exporter so that it reports each result. */
function reporting(exporter: SpanExporter, onExport: TracingOptions['onExport']): SpanExporter {
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        // ExportResultCode.SUCCESS
        if (result.code === 0) onExport(spans.length);
        else onExport(spans.length, exportCause(result.error));
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
  };
}

/**
 * The exporter's error has the status as its code. Its message is never logged: it contains the text of the
 * response, which could hold anything.
 */
function exportCause(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'number' ? `the collector answered ${code}` : causeOf(error);
}

/**
 * The trace of one request: one span for the whole request, and one inside it for each part that takes time.
 */
class Traced implements RequestTrace {
  readonly traceId: string;
  readonly #tracer: Tracer;
  readonly #started: number;
  /**
   * Added to `performance.now()`, it gives the time since 1970. All spans use the same value, so that inner
   * spans lie within outer ones.
   */
  readonly #epoch = Date.now() - performance.now();
  readonly #span: Span;
  readonly #context: Context;
  readonly #version: string;
  #upstream: Span | undefined;
  /** Whether the request has called an authorization server. */
  #introspects = false;

  constructor(tracer: Tracer, entrance: Entrance, message: IncomingMessage, peer: Peer, started: number) {
    this.#tracer = tracer;
    this.#started = started;
    this.#version = message.httpVersion;
    const given = readContext(message);
    const parent =
      given !== undefined && peer.trusted ? trace.setSpanContext(ROOT_CONTEXT, given) : ROOT_CONTEXT;
    this.#span = tracer.startSpan(
      entrance,
      {
        kind: SpanKind.SERVER,
        startTime: this.#epoch + started,
        links: given !== undefined && !peer.trusted ? [{ context: given }] : [],
      },
      parent,
    );
    this.#context = trace.setSpan(ROOT_CONTEXT, this.#span);
    this.traceId = this.#span.spanContext().traceId;
  }

  sending(origin: string, path: string): readonly string[] {
    this.#upstream = this.#client('upstream', origin, path);
    const { traceId, spanId, traceFlags, traceState } = this.#upstream.spanContext();
    const flags = (traceFlags & TraceFlags.SAMPLED) === 0 ? '00' : '01';
    const fields = ['traceparent', `00-${traceId}-${spanId}-${flags}`];
    const state = traceState?.serialize() ?? '';
    if (state !== '') fields.push('tracestate', state);
    return fields;
  }

  calling(purpose: CallPurpose, method: string, url: string): CallSpan | undefined {
    if (!this.#span.isRecording()) return undefined;
    if (purpose === 'introspection') this.#introspects = true;
    const { origin, pathname, search } = new URL(url);
    const span = this.#client(purpose, origin, pathname + search);
    span.setAttribute('http.request.method', METHODS.includes(method) ? method : '_OTHER');
    return {
      end: (status, failure) => {
        span.setAttributes(present({ 'http.response.status_code': status }));
        concludeCall(span, status, failure);
        span.end(this.#epoch + performance.now());
      },
    };
  }

  /** Starts the span of a call to another server (OpenTelemetry's conventions for HTTP clients). */
  #client(name: string, origin: string, path: string): Span {
    const { protocol, hostname, port } = new URL(origin);
    const [pathname] = path.split('?', 1);
    const attributes = {
      'server.address': hostname.replace(/^\[|\]$/g, ''),
      'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
      // A query may hold a token or a key.
      'url.full': `${origin}${pathname}${path.includes('?') ? '?REDACTED' : ''}`,
    };
    const startTime = this.#epoch + performance.now();
    return this.#tracer.startSpan(name, { kind: SpanKind.CLIENT, startTime, attributes }, this.#context);
  }

  end(entry: AuditEntry, { decided, introspected, ended, route }: TraceTimes): void {
    if (!this.#span.isRecording()) return;
    // A span's name may contain known methods only (OpenTelemetry's HTTP conventions).
    const method = METHODS.includes(entry.method) ? entry.method : '_OTHER';
    this.#decision(entry, decided ?? ended, introspected);
    if (this.#upstream !== undefined) {
      const { upstreamStatus, upstreamMs } = entry;
      const span = this.#upstream;
      span.setAttributes(
        present({
          'http.request.method': method,
          'http.response.status_code': upstreamStatus,
          'scopegate.upstream_ms': upstreamMs,
        }),
      );
      concludeCall(
        span,
        upstreamStatus,
        entry.cause ?? (upstreamStatus === undefined ? 'unknown' : undefined),
      );
      span.end(this.#epoch + ended);
    }
    const name = method === '_OTHER' ? 'HTTP' : method;
    this.#span.updateName(route === undefined ? name : `${name} ${route}`);
    this.#span.setAttributes(
      present({
        'http.request.method': method,
        'http.route': route,
        'http.response.status_code': entry.status === 0 ? undefined : entry.status,
        'url.path': entry.path,
        'server.address': entry.host,
        'client.address': entry.peer,
        'network.protocol.version': this.#version,
        'scopegate.entrance': entry.entrance,
        'scopegate.request_id': entry.requestId,
        'scopegate.rule': entry.rule,
        'scopegate.decision': entry.decision,
        'scopegate.would_deny': entry.wouldDeny,
        'scopegate.error': entry.error,
        'scopegate.cause': entry.cause,
      }),
    );
    conclude(this.#span, entry.status >= 500, entry.error ?? entry.status);
    this.#span.end(this.#epoch + ended);
  }

  #decision(entry: AuditEntry, decided: number, introspected: number | undefined): void {
    const attributes = present({
      'scopegate.decision': entry.decision,
      'scopegate.error': entry.decision === 'deny' ? entry.error : undefined,
      'scopegate.introspection': entry.introspection,
    });
    const span = this.#tracer.startSpan(
      'decision',
      { startTime: this.#epoch + this.#started, attributes },
      this.#context,
    );
    // A request that waited for another one's call, or for the shared store, has called nobody itself.
    if (introspected !== undefined && !this.#introspects) {
      const child = this.#tracer.startSpan(
        'introspection',
        {
          startTime: this.#epoch + introspected,
          attributes: present({ 'scopegate.introspection': entry.introspection }),
        },
        trace.setSpan(ROOT_CONTEXT, span),
      );
      conclude(child, entry.introspection === 'failed', 'failed');
      child.end(this.#epoch + introspected + (entry.introspectionMs ?? 0));
    }
    span.end(this.#epoch + decided);
  }
}

function conclude(span: Span, failed: boolean, type: string | number | undefined): void {
  if (!failed) return;
  span.setStatus({ code: SpanStatusCode.ERROR });
  span.setAttribute('error.type', String(type ?? 'unknown'));
}

/** A status of 400 or more is an error of a client span, as the conventions have it. */
function concludeCall(span: Span, status: number | undefined, failure: string | undefined): void {
  const refused = status !== undefined && status >= 400;
  conclude(span, refused || failure !== undefined, refused ? status : failure);
}

function present(values: Readonly<Record<string, string | number | undefined>>): Attributes {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Attributes;
}

/**
 * Reads the trace context of a request (W3C Trace Context §3.2, §3.3). Undefined if the request has none, or
 * an invalid or ambiguous one.
 */
function readContext({ rawHeaders }: IncomingMessage): SpanContext | undefined {
  const [given = '', ...more] = fieldValues(rawHeaders, 'traceparent').map((value) => value.trim());
  const [, edition = '', traceId = '', spanId = '', flags = ''] = TRACEPARENT.exec(given) ?? [];
  if (traceId === '' || more.length > 0 || (edition === '00' && given.length !== 55)) return undefined;
  const state = fieldValues(rawHeaders, 'tracestate')
    .map((value) => value.trim())
    .join(',');
  return {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED,
    isRemote: true,
    ...(state === '' || state.length > MAX_TRACESTATE ? {} : { traceState: createTraceState(state) }),
  };
}
