import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import type { ModelResponse } from '../../src/http/schemas/responses.ts';
import { ModelDir } from '../helpers/model-dir.ts';
import { startProcess } from '../helpers/process.ts';

const sample = (url: string, body: object) =>
  fetch(`${url}/v1/sample`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

test('SIGTERM: requests in progress are answered, later ones are refused, and the exit code is 0', async () => {
  const service = startProcess();
  const url = await service.url;
  const inFlight = sample(url, { steps: 60, seed: 1 });
  await expect.poll(async () => (await fetch(`${url}/metrics`)).text()).toMatch(/active_images\{.*\} [1-9]/);
  service.child.kill('SIGTERM');
  const answer = await inFlight;
  expect(answer.status).toBe(200);
  expect((await answer.arrayBuffer()).byteLength).toBeGreaterThan(1000);
  await expect(sample(url, { steps: 1 })).rejects.toThrow(); // the port is closed
  expect(await service.exit).toEqual([0, null]);
  expect(
    service.output.text.match(/SIGTERM: shutting down; requests in progress have 30000 ms to finish/g),
  ).toHaveLength(1);
});

test('SIGTERM before the service listens ends it', async () => {
  // It warns of the alias, and then waits for Redis.
  const service = startProcess({ MODEL_ALIASES: 'other=nowhere', REDIS_URL: 'redis://127.0.0.1:1' });
  await expect.poll(() => service.output.text, { timeout: 20_000 }).toContain('MODEL_ALIASES');
  service.child.kill('SIGTERM');
  expect(await service.exit).toEqual([0, null]);
  expect(service.output.text).not.toContain('cannot');
});

test('SIGHUP before the service listens does not end it', async () => {
  const service = startProcess({ MODEL_ALIASES: 'other=nowhere' });
  await expect.poll(() => service.output.text, { timeout: 20_000 }).toContain('MODEL_ALIASES');
  service.child.kill('SIGHUP');
  expect((await fetch(`${await service.url}/health/ready`)).status).toBe(200);
});

test('without a grace time, an idle service still exits with code 0', async () => {
  const service = startProcess({ SHUTDOWN_GRACE_MS: '0' });
  await service.url;
  service.child.kill('SIGTERM');
  expect(await service.exit).toEqual([0, null]);
});

test('requests that outlast the grace time are dropped, and the exit code is 1', async () => {
  const service = startProcess({ SHUTDOWN_GRACE_MS: '300' });
  const url = await service.url;
  const dropped = sample(url, { steps: 1000, num_images: 8 }).then(
    () => 'answered',
    () => 'dropped',
  );
  await expect.poll(async () => (await fetch(`${url}/metrics`)).text()).toMatch(/active_images\{.*\} [1-9]/);
  service.child.kill('SIGTERM');
  expect(await service.exit).toEqual([1, null]);
  expect(await dropped).toBe('dropped');
});

/** The processes that a process has started whose command line contains `text`. */
function childrenOf(pid: number, text: string): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  return children.filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes(text));
}

test('what a worker writes to a stderr that takes nothing is lost, and the service goes on', async () => {
  const full = openSync('/dev/full', 'w');
  onTestFinished(() => closeSync(full));
  const service = startProcess({ DEVICE: 'cpu' }, full);
  const url = await service.url;
  const workers = childrenOf(service.child.pid ?? 0, 'worker.ts');
  expect(workers).not.toEqual([]);
  for (const pid of workers) process.kill(pid, 'SIGUSR1'); // starts its debugger, which says so
  expect((await sample(url, { steps: 20 })).status).toBe(200);
  expect((await fetch(`${url}/health/live`)).status).toBe(200);
});

test('METRICS_PORT serves the metrics without a key; PORT no longer does', async () => {
  const hash = createHash('sha256').update('key').digest('hex');
  const service = startProcess({ METRICS_PORT: '0', API_KEYS: `alice:${hash}` });
  const url = await service.url;
  const metrics = service.output.text
    .match(/http:\/\/localhost:\d+\/metrics/)?.[0]
    .replace('localhost', '127.0.0.1');
  expect((await fetch(`${url}/metrics`)).status).toBe(404);
  expect((await fetch(`${url}/v1/models`)).status).toBe(401);
  const scraped = await fetch(`${metrics}`);
  expect(await scraped.text()).toContain('route="/v1/models",method="GET",status="401"');
  expect((await fetch(`${metrics?.replace('/metrics', '/v1/models')}`)).status).toBe(404);
  service.child.kill('SIGTERM');
  expect(await service.exit).toEqual([0, null]);
});

test.each<[what: string, env: Record<string, string>, ...sentences: RegExp[]]>([
  [
    'invalid settings',
    {
      PORT: 'http',
      DEVICE: 'gpu',
      REDIS_URL: 'localhost',
      WEBHOOK_ORIGINS: 'https://example.org',
      CORS_ORIGINS: 'example.org',
      API_KEYS: 'a-key',
      DOCS: 'no',
    },
    /PORT is 'http'; it must be a whole number from 0 to 65535/,
    /DEVICE is 'gpu'; it must be one of auto, cpu, webgpu, cuda, tensorrt/,
    /REDIS_URL is '\*\*\*'; it must be like redis:/,
    /WEBHOOK_SECRET is not/,
    /CORS_ORIGINS is 'example.org'; it must be origins/,
    /API_KEYS is '\*\*\*'; it must be entries like .*: entry 1 of 1 is invalid/,
    /DOCS is 'no'; it must be one of true, false/,
  ],
  [
    'Redis cannot be reached',
    { REDIS_URL: 'redis://127.0.0.1:1' },
    /Redis cannot be reached at REDIS_URL: .*ECONNREFUSED/,
  ],
  [
    'an address of another machine',
    { METRICS_PORT: '1', HOST: '192.0.2.1' },
    /cannot listen on HOST 192.0.2.1, METRICS_PORT 1: /,
  ],
  ['no MODEL_DIR', { MODEL_DIR: '/nowhere' }, /MODEL_DIR \/nowhere cannot be read/],
  ['an unknown DEFAULT_MODEL', { DEFAULT_MODEL: 'nobody' }, /DEFAULT_MODEL: nobody is not in/],
])('%s: the service does not start, and says why', async (_what, env, ...sentences) => {
  const service = startProcess(env);
  await expect(service.url).rejects.toThrow('did not start');
  expect(await service.exit).toEqual([1, null]);
  for (const sentence of sentences) expect(service.output.text).toMatch(sentence);
  expect(service.output.text).not.toContain('    at ');
});

test.each([
  { engine: 'onnx', served: [true, true], warned: false },
  { engine: 'tfjs', served: [true, false], warned: true },
])('the stages of a version with a refiner, and whether $engine serves them', async ({
  engine,
  served,
  warned,
}) => {
  const models = await ModelDir.create();
  onTestFinished(() => models.remove());
  await models.add('1', undefined, { refiner: true });
  const env = { MODEL_DIR: models.root, ENGINE: engine, DEVICE: 'cpu' };
  const service = startProcess(env);
  const url = await service.url;
  await expect.poll(async () => (await fetch(`${url}/health/ready`)).status, { timeout: 90_000 }).toBe(200);
  const described = await (await fetch(`${url}/v1/models/${models.id}`)).json();
  const { digest, stages, card } = described as ModelResponse;
  const [base, refiner] = ['unet.onnx', 'refiner.onnx'].map((file) => ({ file, ...card.files[file] }));
  expect(stages).toEqual([
    { name: 'base', resolution: 64, served: served[0], ...base },
    { name: 'refiner', resolution: 16, served: served[1], ...refiner },
  ]);
  expect(digest).not.toBe(base.sha256);
  expect(card.refiner).toMatchObject({ level: 0.05, level_max: 0.3 });
  const warning = `${models.id}@1: ${engine} serves the base network alone, so fills are not refined`;
  expect(service.output.text.includes(warning)).toBe(warned);
});
