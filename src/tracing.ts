/**
 * OpenTelemetry, as its own environment variables say; off unless an endpoint is set. What is here costs next to nothing
 * then: the API's spans do nothing, and the SDK is never loaded.
 */
import { createRequire } from 'node:module';
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

const { name, version } = createRequire(import.meta.url)('../package.json') as {
  name: string;
  version: string;
};
const tracer = trace.getTracer(name, version);

/** The environment asks for tracing in a way that is not there. */
export class TracingError extends Error {
  override name = 'TracingError';
}

/** Sends spans to where OTEL_EXPORTER_OTLP_ENDPOINT says; nothing without it. Gives what ends it: the last spans are sent. */
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
  const itself = resources.resourceFromAttributes({ 'service.name': name, 'service.version': version });
  const provider = new NodeTracerProvider({
    // What the environment says of the service goes before what it knows of itself.
    resource: itself.merge(resources.detectResources({ detectors: [resources.envDetector] })),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  provider.register(); // with W3C traceparent and baggage
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

/** Does work in a span of its own, a child of the one it is called in. */
export function traced<T>(name: string, work: () => Promise<T>, attributes: Attributes = {}): Promise<T> {
  return tracer.startActiveSpan(name, { attributes }, (span) => ended(span, work));
}

/** The same as the start of a trace, linked to the span it is called in: work that outlives whoever asked for it. */
export function tracedApart<T>(name: string, work: () => Promise<T>): Promise<T> {
  const asker = trace.getActiveSpan()?.spanContext();
  const links = asker ? [{ context: asker }] : [];
  return tracer.startActiveSpan(name, { root: true, links }, (span) => ended(span, work));
}

async function ended<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).name });
    throw error;
  } finally {
    span.end();
  }
}

/** A span that is ended by hand; in the context it was started in, not the one it ends in. */
export function startSpan(name: string): Span {
  return tracer.startSpan(name);
}

/** For an evaluation that several requests share: a child of the first one's span, linked to the others'. */
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

/** The span of an HTTP request; the caller's traceparent is taken over. */
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

/** Ends a request's span with what its log line says too; no status: the client went away. */
export function endRequest(span: Span, status: number | undefined, about: Record<string, unknown>) {
  if (!span.isRecording()) return span.end();
  for (const [key, value] of Object.entries(about)) {
    if (typeof value !== 'object') span.setAttribute(`ddpm_inpaint.${key}`, value as string | number);
  }
  if (status !== undefined) span.setAttribute('http.response.status_code', status);
  if (status === undefined || status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

/** Has `work`, and what it goes on with, happen in a context. */
export const inContext = (of: Context, work: () => void): void => context.with(of, work);

/** The span that is under way here. */
export const activeSpan = (): Span | undefined => trace.getActiveSpan();
