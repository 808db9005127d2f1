import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { MODEL_DIR } from '../helpers/model.ts';

/** Starts the service as a separate process, as in production. */
function start(env: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/main.ts'], {
    env: { ...process.env, MODEL_DIR, HOST: '127.0.0.1', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const output = { text: '' };
  child.stdout.on('data', (data) => {
    output.text += data;
  });
  child.stderr.on('data', (data) => {
    output.text += data;
  });
  const url = async () => {
    await expect.poll(() => output.text, { timeout: 60_000 }).toContain('listening on');
    return output.text
      .match(/(?<=listening on )http:\/\/localhost:\d+/)?.[0]
      .replace('localhost', '127.0.0.1');
  };
  return { child, output, url, exit: once(child, 'exit') as Promise<[number | null, string | null]> };
}

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const sample = (url: string | undefined, body: object) =>
  fetch(`${url}/v1/sample`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

test('SIGTERM: running requests are answered, later ones are refused, the exit code is 0', async () => {
  const service = start();
  const url = await service.url();
  const inFlight = sample(url, { steps: 60, seed: 1 });
  await expect
    .poll(async () => (await (await fetch(`${url}/metrics`)).text()).match(/active_images\{.*\} 1/))
    .toBeTruthy();
  service.child.kill('SIGTERM');
  const answer = await inFlight;
  expect(answer.status).toBe(200);
  expect((await answer.arrayBuffer()).byteLength).toBeGreaterThan(1000);
  await expect(sample(url, { steps: 1 })).rejects.toThrow(); // the port is closed
  expect(await service.exit).toEqual([0, null]);
  expect(service.output.text.match(/finishing what is in flight/g)).toHaveLength(1);
});

test('work that exceeds the grace period is aborted, and the exit code is not 0', async () => {
  const service = start({ SHUTDOWN_GRACE_MS: '300' });
  const url = await service.url();
  const dropped = sample(url, { steps: 1000, num_images: 8 }).then(
    () => 'answered',
    () => 'dropped',
  );
  await expect
    .poll(async () => (await (await fetch(`${url}/metrics`)).text()).includes('active_images{'))
    .toBe(true);
  service.child.kill('SIGTERM');
  expect(await service.exit).toEqual([1, null]);
  expect(await dropped).toBe('dropped');
});

test('METRICS_PORT: metrics are served only there, without a key, until the service has stopped', async () => {
  const hash = createHash('sha256').update('key').digest('hex');
  const service = start({ METRICS_PORT: '0', API_KEYS: `alice:${hash}` });
  const url = await service.url();
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

test.each([
  [{ PORT: 'http' }, /PORT is 'http'; it must be a whole number from 0 to 65535/],
  [{ DEVICE: 'gpu' }, /DEVICE is 'gpu'; it must be one of auto, cpu, webgpu, cuda, tensorrt/],
  [{ REDIS_URL: 'localhost' }, /REDIS_URL is '\*\*\*'; it must be like redis:/],
  [{ REDIS_URL: 'redis://127.0.0.1:1' }, /Redis cannot be reached at REDIS_URL: .*ECONNREFUSED/],
  [{ WEBHOOK_ORIGINS: 'https://example.org' }, /WEBHOOK_SECRET is not/],
  [{ CORS_ORIGINS: 'example.org' }, /CORS_ORIGINS is 'example.org'; it must be origins/],
  [{ API_KEYS: 'a-key' }, /API_KEYS is '\*\*\*'; it must be entries like .*: entry 1 of 1 is not/],
  [{ DOCS: 'no' }, /DOCS is 'no'; it must be one of true, false/],
  [{ METRICS_PORT: '1', HOST: '192.0.2.1' }, /cannot listen on HOST 192.0.2.1, METRICS_PORT 1: /],
  [{ MODEL_DIR: '/nowhere' }, /MODEL_DIR \/nowhere cannot be read/],
  [{ DEFAULT_MODEL: 'nobody' }, /DEFAULT_MODEL nobody is not in/],
])('%j prevents the start, with an error message', async (env, sentence) => {
  const service = start(env);
  expect(await service.exit).toEqual([1, null]);
  expect(service.output.text).toMatch(sentence);
  expect(service.output.text).not.toContain('    at ');
});
