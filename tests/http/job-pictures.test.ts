import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import request from 'supertest';
import { expect, onTestFinished, test, vi } from 'vitest';
import { pictureBudget } from '../../src/image/budget.ts';
import type { Job, JobEvent } from '../../src/jobs/job.ts';
import { MemoryJobQueue } from '../../src/jobs/memory-queue.ts';
import { hasRedis, RedisServer } from '../helpers/redis.ts';
import { startFakeApp } from './fake-app.ts';

/** More than the socket buffers of both sides can hold. */
const BYTES = 30_000_000;
const id = randomUUID();
const path = `/v1/jobs/${id}/images/0`;

async function start(env: Record<string, string> = {}) {
  const service = await startFakeApp(env);
  onTestFinished(() => service.app.close());
  return service;
}

/** A client that has its first bytes of the answer, and reads no more. */
async function idleClient(port: number, wanted = path): Promise<Socket> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  onTestFinished(() => void socket.destroy());
  socket.write(`GET ${wanted} HTTP/1.1\r\nhost: x\r\n\r\n`);
  const [head] = await once(socket, 'data');
  socket.pause();
  expect(String(head)).toMatch(/^HTTP\/1.1 200/);
  return socket;
}

test('a picture in memory is not copied for each client that is sent it', async () => {
  const { port } = await start();
  const file = new Uint8Array(BYTES).fill(7);
  vi.spyOn(MemoryJobQueue.prototype, 'get').mockResolvedValue({ id } as Job);
  vi.spyOn(MemoryJobQueue.prototype, 'image').mockResolvedValue({
    file,
    mediaType: 'image/png',
    release: () => {},
  });
  onTestFinished(() => void vi.restoreAllMocks());
  const before = process.memoryUsage().arrayBuffers;
  for (let n = 0; n < 5; n++) await idleClient(port);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(BYTES);
});

test.skipIf(!hasRedis)(
  'pictures from Redis count towards MAX_DECODED_BYTES until they are sent',
  async () => {
    const server = await RedisServer.start();
    const redis = new Redis(server.url);
    onTestFinished(async () => {
      redis.disconnect();
      await server.remove();
    });
    const key = `{ddpm-inpaint}:job:${id}`;
    const job = { task: 'sample', fields: '{}', status: 'succeeded', images: 1, mediaType: 'image/png' };
    await redis.hset(key, { ...job, createdAt: 1, finishedAt: 2 });
    await redis.hset(`${key}:files`, '0', Buffer.alloc(BYTES, 7));
    const { port, url } = await start({ REDIS_URL: server.url, MAX_DECODED_BYTES: String(BYTES * 2) });
    const get = () => request(url).get(path);

    const client = await idleClient(port);
    expect(pictureBudget.held).toBe(BYTES);
    const refused = await get();
    expect([refused.status, refused.body.type]).toEqual([429, '/problems/memory-full']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    client.destroy();
    await expect.poll(async () => (await get()).status).toBe(200);
    await expect.poll(() => pictureBudget.held).toBe(0);
    await request(url).get(`/v1/jobs/${id}/images/1`).expect(404);
    expect(pictureBudget.held).toBe(0);
  },
);

test('an event is not formatted again for each client that is sent it', async () => {
  const { port } = await start();
  const event: JobEvent = { id: 1, event: 'result', data: { uncertainty: 'x'.repeat(BYTES) } };
  vi.spyOn(MemoryJobQueue.prototype, 'get').mockResolvedValue({ id, finishedAt: new Date() } as Job);
  vi.spyOn(MemoryJobQueue.prototype, 'events').mockImplementation(async function* () {
    yield event;
  });
  onTestFinished(() => void vi.restoreAllMocks());
  const before = process.memoryUsage().arrayBuffers;
  for (let n = 0; n < 5; n++) await idleClient(port, `/v1/jobs/${id}/events`);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * BYTES);
});
