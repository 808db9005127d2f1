import { randomUUID } from 'node:crypto';
import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { JobResult } from '../../src/jobs/job.ts';
import { ANSWER_MS } from '../../src/jobs/redis/connections.ts';
import { RedisJobQueue } from '../../src/jobs/redis/queue.ts';
import { hasRedis, RedisServer } from '../helpers/redis.ts';
import { listen } from '../helpers/tcp.ts';

const BYTES = 4_000_000;
const result: JobResult = {
  files: [new Uint8Array(BYTES).fill(7)],
  mediaType: 'image/png',
  answer: { seed: 1 },
};

describe.skipIf(!hasRedis)('a picture that Redis takes longer to send than it may take to answer', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.remove());

  /** A network that carries large answers slowly: a picture takes 1.5 times ANSWER_MS. `asked`: the pictures asked for. */
  async function slowNetwork() {
    const network = { url: '', asked: 0 };
    const port = await listen((client) => {
      const upstream = createConnection(Number(new URL(redis.url).port), '127.0.0.1').on('error', () => {});
      client.on('data', (data) => {
        network.asked += String(data).match(/hget\r\n[^\r]*\r\n[^\r]*:files\r\n/g)?.length ?? 0;
        upstream.write(data);
      });
      client.on('close', () => upstream.destroy());
      void (async () => {
        for await (const data of upstream) {
          client.write(data);
          await sleep(((ANSWER_MS * 1.5) / BYTES) * data.length);
        }
      })().catch(() => {});
    });
    network.url = `redis://127.0.0.1:${port}`;
    return network;
  }

  test('arrives, one at a time, and nothing else waits for it', async () => {
    const network = await slowNetwork();
    const queue = await RedisJobQueue.connect({
      url: network.url,
      limit: 10,
      ttlMs: 60_000,
      perform: async () => result,
      describeError: String as never,
      onError: () => {},
    });
    onTestFinished(() => queue.close());
    const { job } = await queue.submit({ id: randomUUID(), task: 'sample', fields: { seed: 1 } });
    await expect.poll(async () => (await queue.get(job.id)).status).toBe('succeeded');
    const pictures = [0, 0].map((n) => queue.image(job.id, n));
    await expect.poll(() => network.asked).toBe(1);
    expect(await queue.get(job.id)).toMatchObject({ status: 'succeeded' });
    expect(network.asked).toBe(1);
    for (const { file } of await Promise.all(pictures)) expect(file).toHaveLength(BYTES);
    expect(network.asked).toBe(2);
  });
});
