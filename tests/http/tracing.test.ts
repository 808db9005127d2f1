import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import request from 'supertest';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { hashKey, newKey } from '../../src/config/api-keys.ts';
import { startTracing, TracingError } from '../../src/tracing.ts';
import { maskOf, pngOf } from '../helpers/app.ts';
import { startFakeApp } from './fake-app.ts';

interface SentSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Record<string, unknown> }[];
  links?: { traceId: string; spanId: string }[];
  status: { code?: number };
}

/** An OpenTelemetry collector that receives OTLP over HTTP, as JSON. */
const spans: SentSpan[] = [];
let resource = '';
const collector = createServer(async (incoming, response) => {
  const sent = JSON.parse(await text(incoming));
  for (const { resource: about, scopeSpans } of sent.resourceSpans) {
    resource = JSON.stringify(about);
    for (const scope of scopeSpans) spans.push(...scope.spans);
  }
  response.setHeader('content-type', 'application/json').end('{}');
});
let service: Awaited<ReturnType<typeof startFakeApp>>;
let stop = async () => {};
const key = newKey();
const CALLER = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };

beforeAll(async () => {
  await new Promise<void>((done) => collector.listen(0, '127.0.0.1', done));
  const { port } = collector.address() as AddressInfo;
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', `http://127.0.0.1:${port}`);
  vi.stubEnv('OTEL_EXPORTER_OTLP_PROTOCOL', 'http/json');
  vi.stubEnv('OTEL_BSP_SCHEDULE_DELAY', '50');
  vi.stubEnv('OTEL_RESOURCE_ATTRIBUTES', 'deployment.environment=test');
  service = await startFakeApp({ API_KEYS: `alice:${hashKey(key).toString('hex')}` });
  stop = await startTracing(process.env, { warn: () => {} });
});
afterAll(async () => {
  await service.app.close();
  await stop();
  vi.unstubAllEnvs();
  collector.close();
});

const fields = async () => ({
  image: (await pngOf(64, 64)).toString('base64'),
  mask: (await maskOf(64, 64)).toString('base64'),
  steps: 3,
  seed: 7,
});
const post = (path: string) => request(service.url).post(path).set('x-api-key', key);
const ms = ({ startTimeUnixNano: from, endTimeUnixNano: to }: SentSpan) =>
  Number(BigInt(to) - BigInt(from)) / 1e6;
const named = (name: string) => spans.filter((span) => span.name === name);
const attributes = (span: SentSpan) =>
  Object.fromEntries(span.attributes.map(({ key, value }) => [key, Object.values(value)[0]]));

test('a request has spans for decode, queue, each batch, composite and encode, in the trace of its caller', async () => {
  service.registry.engine.delayMs = 30;
  const traceparent = `00-${CALLER.traceId}-${CALLER.spanId}-01`;
  await post('/v1/inpaint')
    .set({ traceparent })
    .send(await fields())
    .expect(200);
  await expect.poll(() => named('POST /v1/inpaint')).toHaveLength(1);
  const [whole] = named('POST /v1/inpaint');
  expect(whole).toMatchObject({ traceId: CALLER.traceId, parentSpanId: CALLER.spanId });
  expect(attributes(whole)).toMatchObject({
    'http.request.method': 'POST',
    'http.route': '/v1/inpaint',
    'http.response.status_code': 200,
    'ddpm_inpaint.model': 'fake@1',
    'ddpm_inpaint.seed': 7,
    'ddpm_inpaint.steps': 3,
  });
  const parts = spans.filter(({ parentSpanId }) => parentSpanId === whole.spanId);
  expect(parts.map(({ name }) => name)).toEqual([
    'decode',
    'queue',
    'batch',
    'batch',
    'batch',
    'composite',
    'encode',
  ]);
  const { tookMs } = service.registry.engine;
  expect(tookMs).toHaveLength(3);
  for (const [i, batch] of named('batch').entries()) {
    expect(ms(batch)).toBeGreaterThanOrEqual(tookMs[i]);
    expect(attributes(batch)).toEqual({ 'ddpm_inpaint.rows': 1 });
  }
  for (const part of parts) {
    expect(BigInt(part.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(whole.startTimeUnixNano));
    expect(BigInt(part.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(whole.endTimeUnixNano));
  }
  expect(ms(whole)).toBeGreaterThanOrEqual(tookMs.reduce((sum, took) => sum + took, 0));
  expect(resource).toContain('ddpm-inpaint');
  expect(resource).toContain('deployment.environment');
  const line = service.log.find(({ route }) => route === '/v1/inpaint');
  expect(line?.trace_id).toBe(CALLER.traceId); // the log line refers to the trace
});

test('a batch shared by several requests is in the trace of one and linked to the others', async () => {
  spans.length = 0;
  const { engine, scheduler } = service.registry;
  const resume = engine.hold();
  const answers = Promise.all(
    [1, 2, 3].map((seed) => post('/v1/sample').send({ steps: 6, seed }).expect(200)),
  );
  const inSystem = () => scheduler.depth.waiting + scheduler.depth.active;
  await expect.poll(inSystem).toBe(3);
  resume();
  await answers;
  await expect.poll(() => named('POST /v1/sample')).toHaveLength(3);
  const requests = new Map(named('POST /v1/sample').map((span) => [span.spanId, span.traceId]));
  expect(new Set(requests.values()).size).toBe(3); // each caller has its own trace
  const shared = named('batch').filter((batch) => Number(attributes(batch)['ddpm_inpaint.rows']) > 1);
  expect(shared.length).toBeGreaterThan(0);
  for (const batch of shared) {
    const all = [{ traceId: batch.traceId, spanId: batch.parentSpanId }, ...(batch.links ?? [])];
    expect(all).toHaveLength(Number(attributes(batch)['ddpm_inpaint.rows']));
    for (const { spanId, traceId } of all) expect(requests.get(spanId ?? '')).toBe(traceId);
  }
});

test('a job has its own trace, linked to the request that created it', async () => {
  spans.length = 0;
  await post('/v1/jobs')
    .send({ ...(await fields()), steps: 2 })
    .expect(202);
  await expect.poll(() => [...named('job'), ...named('POST /v1/jobs')]).toHaveLength(2);
  const [[job], [made]] = [named('job'), named('POST /v1/jobs')];
  expect(job.parentSpanId ?? '').toBe('');
  expect(job.links).toMatchObject([{ traceId: made.traceId, spanId: made.spanId }]);
  const parts = ({ spanId }: { spanId: string }) =>
    spans.filter(({ parentSpanId }) => parentSpanId === spanId).map(({ name }) => name);
  expect(parts(made)).toEqual(['decode']); // the job starts at once and decodes nothing again
  expect(parts(job)).toEqual(['queue', 'batch', 'batch', 'composite', 'encode']);
});

test('failed requests have error status, probes have no trace, and no key, picture or file name is exported', async () => {
  spans.length = 0;
  service.registry.engine.failing = true;
  await post('/v1/sample?private=1').send({ steps: 1 }).expect(500);
  service.registry.engine.failing = false;
  await request(service.url).get('/health/live').expect(200);
  await request(service.url).get('/v1/models').expect(401);
  await expect.poll(() => named('GET /v1/models')).toHaveLength(1);
  const [failed] = named('POST /v1/sample');
  expect(failed.status.code).toBe(2);
  expect(attributes(failed)).toMatchObject({ 'ddpm_inpaint.problem': 'engine-failure' });
  expect(named('GET /v1/models')[0].status.code ?? 0).toBe(0);
  expect(spans.map(({ name }) => name)).not.toContain('GET /health/live');
  expect(JSON.stringify(spans)).not.toMatch(new RegExp(`${key}|private|iVBOR`));
});

test.each([
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }, /OTEL_EXPORTER_OTLP_ENDPOINT must be like http:/],
  [
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://x', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
    /'grpc'; it must be http\/protobuf or http\/json/,
  ],
])('%j is refused with an error message', async (env, sentence) => {
  await expect(startTracing(env, { warn: () => {} })).rejects.toThrow(sentence);
  await expect(startTracing(env, { warn: () => {} })).rejects.toBeInstanceOf(TracingError);
});
