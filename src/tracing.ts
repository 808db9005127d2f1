/**
 * Tracing with OpenTelemetry, configured by its standard environment variables. It is off unless an endpoint is set; the
 * functions here then cost almost nothing, because the API creates no-op spans and the SDK is not loaded.
 */
import {
  type Attributes,
  type Context,
  context,
  DiagLogLevel,
  diag,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { Logger } from 'pino';
import { NAME, VERSION } from './version.ts';

const tracer = trace.getTracer(NAME, VERSION);

/** The OpenTelemetry variables are invalid or ask for an unsupported protocol. */
export class TracingError extends Error {
  override name = 'TracingError';
}

/**
 * Starts sending spans to OTEL_EXPORTER_OTLP_ENDPOINT; does nothing when it is not set. Resolves to a function that sends
 * the remaining spans and stops tracing. Rejects with TracingError.
 */
export async function startTracing(
  env: NodeJS.ProcessEnv,
  log: Pick<Logger, 'warn'>,
): Promise<() => Promise<void>> {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (!endpoint || env.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return async () => {};
  if (!/^https?:/.test(endpoint) || !URL.canParse(endpoint)) {
    throw new TracingError('OTEL_EXPORTER_OTLP_ENDPOINT must be like http://host:4318.');
  }
  const OTLPTraceExporter = await exporterFor(
    env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL || 'http/protobuf',
  );
  const [{ NodeTracerProvider, BatchSpanProcessor }, resources] = await Promise.all([
    import('@opentelemetry/sdk-trace-node'),
    import('@opentelemetry/resources'),
  ]);
  const warn = (message: string) => log.warn(`tracing: ${message}`);
  const silent = () => {};
  diag.setLogger(
    { error: warn, warn, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  const ownResource = resources.resourceFromAttributes({ 'service.name': NAME, 'service.version': VERSION });
  const provider = new NodeTracerProvider({
    // Attributes from the environment take precedence.
    resource: ownResource.merge(resources.detectResources({ detectors: [resources.envDetector] })),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  provider.register(); // also registers the propagators for W3C traceparent and baggage
  return () => provider.shutdown();
}

async function exporterFor(protocol: string) {
  if (protocol === 'http/protobuf')
    return (await import('@opentelemetry/exporter-trace-otlp-proto')).OTLPTraceExporter;
  if (protocol === 'http/json')
    return (await import('@opentelemetry/exporter-trace-otlp-http')).OTLPTraceExporter;
  throw new TracingError(
    `OTEL_EXPORTER_OTLP_PROTOCOL is '${protocol}'; it must be http/protobuf or http/json.`,
  );
}

/** Runs `work` in a new span, a child of the active one. A rejection marks the span as failed. */
export function traced<T>(name: string, work: () => Promise<T>, attributes: Attributes = {}): Promise<T> {
  return tracer.startActiveSpan(name, { attributes }, (span) => runIn(span, work));
}

/** Runs `work` in the root span of a new trace, linked to the active span: for work that outlives its request. */
export function tracedApart<T>(name: string, work: () => Promise<T>): Promise<T> {
  const caller = trace.getActiveSpan()?.spanContext();
  const links = caller ? [{ context: caller }] : [];
  return tracer.startActiveSpan(name, { root: true, links }, (span) => runIn(span, work));
}

async function runIn<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).name });
    throw error;
  } finally {
    span.end();
  }
}

/** Starts a span as a child of the active one. The caller must end it. */
export function startSpan(name: string): Span {
  return tracer.startSpan(name);
}

/** Starts a span for work that several requests share: a child of the first request's span, linked to the others. */
export function startShared(
  name: string,
  spans: readonly (Span | undefined)[],
  attributes: Attributes,
): Span {
  const [first, ...others] = new Set(spans.filter((span) => span !== undefined));
  const links = others.map((span) => ({ context: span.spanContext() }));
  const parent = first ? trace.setSpan(context.active(), first) : context.active();
  return tracer.startSpan(name, { attributes, links }, parent);
}

/** Starts the span of an HTTP request. It continues the trace of the `traceparent` header, if there is one. */
export function startRequest(
  method: string,
  route: string | undefined,
  headers: Record<string, unknown>,
): { span: Span; context: Context } {
  const caller = propagation.extract(context.active(), headers);
  const attributes = { 'http.request.method': method, 'http.route': route };
  const span = tracer.startSpan(
    route ? `${method} ${route}` : method,
    { kind: SpanKind.SERVER, attributes },
    caller,
  );
  return { span, context: trace.setSpan(caller, span) };
}

/**
 * Ends a request's span.
 *
 * @param status HTTP status; undefined when the client disconnected
 * @param fields the fields of the request's log line, recorded as attributes
 */
export function endRequest(span: Span, status: number | undefined, fields: Record<string, unknown>) {
  if (!span.isRecording()) return span.end();
  for (const [key, value] of Object.entries(fields)) {
    if (typeof value !== 'object') span.setAttribute(`ddpm_inpaint.${key}`, value as string | number);
  }
  if (status !== undefined) span.setAttribute('http.response.status_code', status);
  if (status === undefined || status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

/** Runs `work`, and the asynchronous operations that it starts, in a context. */
export const inContext = (target: Context, work: () => void): void => context.with(target, work);

/** The span of the current context. */
export const activeSpan = (): Span | undefined => trace.getActiveSpan();
