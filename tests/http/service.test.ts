import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { clientTypes, openapi, withSettings } from '../../scripts/document.ts';
import { startApp, type TestApp } from '../helpers/app.ts';

let service: TestApp;
beforeAll(async () => {
  service = await startApp({ CORS_ORIGINS: 'https://example.org' });
});
afterAll(() => service.app.close());
const get = (path: string) => request(service.url).get(path);

test('probes succeed once the model is loaded', async () => {
  for (const probe of ['live', 'ready', 'startup']) {
    const { status, body } = await get(`/health/${probe}`);
    expect(status).toBe(200);
    expect(body.status).toBe('ok');
  }
});

test('without a worker the service is live but not ready; it is ready again when one is back', async () => {
  for (const pid of service.registry.get().workers?.pids ?? []) process.kill(pid, 'SIGKILL');
  await expect.poll(async () => (await get('/health/ready')).status).toBe(503);
  expect((await get('/metrics')).text).toContain('ddpm_inpaint_ready 0');
  const { body } = await get('/health/ready');
  expect(body).toMatchObject({
    type: '/problems/not-ready',
    detail: expect.stringContaining('no live worker'),
  });
  expect((await get('/health/live')).status).toBe(200);
  expect((await get('/health/startup')).status).toBe(200);
  await expect.poll(async () => (await get('/health/ready')).status).toBe(200);
  expect((await get('/metrics')).text).toContain('ddpm_inpaint_ready 1');
});

test('models are listed with card, digest, state and runtime', async () => {
  const { body } = await get('/v1/models');
  const first = body.models.find((model: { default: boolean }) => model.default);
  const digestOf = (name: string) => first.card.files[name].sha256;
  expect(first).toMatchObject({
    state: 'ready',
    digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    engine: {
      engine: 'onnx',
      device: 'cpu',
      device_name: expect.stringMatching(/./),
      library: 'onnxruntime-node',
      precision: 'fp32',
      workers_alive: expect.any(Number),
      workers_reason: expect.stringMatching(/./),
    },
    stages: [
      { name: 'base', file: 'unet.onnx', sha256: digestOf('unet.onnx'), resolution: 64, served: true },
      {
        name: 'refiner',
        file: 'refiner.onnx',
        sha256: digestOf('refiner.onnx'),
        resolution: 64,
        served: true,
      },
    ],
    card: { resolution: 64, prediction: 'v' },
  });
  expect((await get(`/v1/models/${first.card.id}`)).body.card.id).toBe(first.card.id);
  expect((await get(`/v1/models/${first.ref}`)).body.ref).toBe(first.ref);
});

test('metrics are available as Prometheus text and as OpenMetrics', async () => {
  await request(service.url).post('/v1/sample').send({ steps: 3, seed: 1, sampler: 'ddim' });
  await request(service.url).post('/v1/sample').send({ steps: 0 });
  const plain = await get('/metrics');
  expect(plain.headers['content-type']).toContain('text/plain');
  const { ref } = service.registry.get();
  expect(plain.text).toContain(`ddpm_inpaint_denoising_steps_total{model="${ref}",sampler="ddim"} 3`);
  expect(plain.text).toMatch(
    /ddpm_inpaint_http_requests_total\{route="\/v1\/sample",method="POST",status="200"\} 1/,
  );
  expect(plain.text).toContain('ddpm_inpaint_failures_total{reason="invalid-request"} 1');
  for (const labels of ['jobs_failed_total{reason="engine-failure"}', 'webhooks_total{result="failed"}'])
    expect(plain.text).toContain(`ddpm_inpaint_${labels} 0`); // so that the first one is an increase
  expect(plain.text).toMatch(/ddpm_inpaint_request_seconds_count\{.*task="sample".*\} 1/);
  expect(plain.text).toContain('ddpm_inpaint_queue_depth');
  const { deviceName } = service.registry.get().engine ?? {};
  expect(plain.text).toContain(
    `ddpm_inpaint_engine_info{model="${ref}",engine="onnx",device="cpu",device_name="${deviceName}",library="onnxruntime-node",precision="fp32"} 1`,
  );
  expect(plain.text).toContain('nodejs_eventloop_lag_seconds');
  const open = await get('/metrics')
    .set('accept', 'application/openmetrics-text; version=1.0.0')
    .buffer(true);
  expect(open.headers['content-type']).toContain('application/openmetrics-text');
  expect(open.text.trimEnd().endsWith('# EOF')).toBe(true);
});

test('a valid request id is kept, an invalid one is replaced', async () => {
  expect((await get('/health/live').set('x-request-id', 'abc-1')).headers['x-request-id']).toBe('abc-1');
  const replaced = (await get('/health/live').set('x-request-id', 'a b;c')).headers['x-request-id'];
  expect(replaced).toMatch(/^[0-9a-f-]{36}$/);
});

test('CORS allows only the configured origins', async () => {
  const allowed = await get('/v1/models').set('origin', 'https://example.org');
  expect(allowed.headers['access-control-allow-origin']).toBe('https://example.org');
  const other = await get('/v1/models').set('origin', 'https://evil.example');
  expect(other.headers['access-control-allow-origin']).toBeUndefined();
});

test('the page and the docs are served', async () => {
  const page = await get('/');
  expect(page.headers['content-type']).toContain('text/html');
  const files = [...page.text.matchAll(/(?:src|href)="(playground\/[^"]+)"/g)].map(([, file]) => file);
  expect(files).toHaveLength(3);
  for (const file of files) expect((await get(`/${file}`)).status).toBe(200);
  expect((await get('/playground/nothing.js')).body.type).toBe('/problems/not-found');
  expect((await get('/docs/')).text).toContain('swagger');
});

interface Operation {
  parameters?: { name: string; description?: string }[];
  requestBody?: { content: object; required?: boolean };
  responses: Record<string, { headers?: Record<string, unknown> }>;
}

describe('the OpenAPI document', () => {
  const committed = readFileSync('openapi.yaml', 'utf8');

  test('matches the committed openapi.yaml, and so do the types of the client (update: npm run openapi)', async () => {
    const { json, yaml } = await openapi();
    expect(yaml).toBe(committed);
    expect(await clientTypes(json)).toBe(readFileSync('clients/typescript/src/schemas.ts', 'utf8'));
    expect((await get('/openapi.yaml')).text).toBe(committed);
    expect((await get('/openapi.json')).body.openapi).toBe('3.1.0');
  });

  test('passes a public OpenAPI linter', () => {
    execFileSync('npx', ['redocly', 'lint', 'openapi.yaml'], { stdio: 'pipe' });
  });

  test('its pictures are files that can be sent as they are', async () => {
    const { components } = (await get('/openapi.json')).body;
    const { image, mask } = components.schemas.InpaintJson.properties;
    for (const path of ['/v1/inpaint', '/v1/jobs', '/v1/diffuse']) {
      const body = { image: image.examples[0], ...(path !== '/v1/diffuse' && { mask: mask.examples[0] }) };
      expect((await request(service.url).post(path).send(body)).status).toBeLessThan(300);
    }
  });

  test('has what generators of clients need', async () => {
    const { paths, components } = (await get('/openapi.json')).body;
    const lacking: string[] = [];
    const walk = (at: string, node: unknown) => {
      if (typeof node !== 'object' || node === null) return;
      const { type, minimum, const: only, format, ...limits } = node as Record<string, unknown>;
      const { maximum = only ?? Number.POSITIVE_INFINITY } = limits;
      if (type === 'integer' && (maximum as number) > 2 ** 31 - 1 && format !== 'int64') lacking.push(at);
      if (minimum === Number.MIN_SAFE_INTEGER) lacking.push(at);
      for (const [name, child] of Object.entries(node)) walk(`${at}/${name}`, child);
    };
    walk('', { paths, components });
    for (const [path, operations] of Object.entries<Record<string, Operation>>(paths)) {
      for (const [method, { parameters = [], requestBody, responses }] of Object.entries(operations)) {
        const at = `${method} ${path}`;
        for (const { name, description } of parameters) if (!description) lacking.push(`${at} ${name}`);
        if (requestBody && !requestBody.required) lacking.push(at);
        if (Object.keys(requestBody?.content ?? {}).indexOf('application/json') > 0) lacking.push(at); // some take forms only
        for (const [status, { headers }] of Object.entries(responses)) {
          if (!headers?.['x-request-id']) lacking.push(`${at} ${status}`);
          if (status === '429' && !headers?.['retry-after']) lacking.push(`${at} ${status}`);
        }
      }
    }
    expect(lacking).toEqual([]);
    const { headers } = paths['/v1/inpaint'].post.responses['200'];
    expect(Object.keys(headers)).toEqual(
      expect.arrayContaining(['x-seed', 'x-model', 'x-steps', 'ratelimit-limit']),
    );
    expect(paths['/v1/jobs'].post.responses['202'].headers.location).toBeDefined();
  });

  test('generates a client that compiles', () => {
    const folder = mkdtempSync('node_modules/.client-');
    onTestFinished(() => rmSync(folder, { recursive: true }));
    execFileSync(
      'npx',
      [
        'openapi-typescript',
        'openapi.yaml',
        '-o',
        path.join(folder, 'api.d.ts'),
        '--default-non-nullable',
        'false',
      ],
      {
        stdio: 'pipe',
      },
    );
    writeFileSync(
      path.join(folder, 'client.ts'),
      `import type { components, operations } from './api.d.ts';
       const body: components['schemas']['InpaintJson'] = { image: 'aGk=', steps: 5 };
       type Answer = operations['inpaint']['responses'][200]['content']['application/json'];
       export const seedOf = (answer: Answer): number => answer.seed;
       export const problemOf = (problem: components['schemas']['Problem']): string => problem.detail + body.image;
       // @ts-expect-error an unknown sampler does not compile
       body.sampler = 'euler';`,
    );
    execFileSync(
      'npx',
      [
        'tsc',
        '--noEmit',
        '--strict',
        '--skipLibCheck',
        '--allowImportingTsExtensions',
        '--module',
        'nodenext',
        path.join(folder, 'client.ts'),
      ],
      { stdio: 'pipe' },
    );
  });
});

test("the README's table of settings is current (npm run readme)", () => {
  const readme = readFileSync('README.md', 'utf8');
  expect(withSettings(readme)).toBe(readme);
});
