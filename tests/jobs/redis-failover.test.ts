import { createConnection } from 'node:net';
import { Redis } from 'ioredis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connect, disconnect } from '../../src/jobs/redis/connections.ts';
import { hasRedis, RedisServer } from '../helpers/redis.ts';
import { listen } from '../helpers/tcp.ts';

const portOf = ({ url }: RedisServer) => Number(new URL(url).port);

/** A proxy that forwards new connections to `target.port`, as a virtual address does. */
async function virtualAddress(target: { port: number }) {
  const port = await listen((client) => {
    const upstream = createConnection(target.port, '127.0.0.1').on('error', () => {});
    client.pipe(upstream).pipe(client);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  return `redis://127.0.0.1:${port}`;
}

describe.skipIf(!hasRedis)('a failover', () => {
  test('a node that has become a replica is left: the next commands go to the new primary', async () => {
    const [old, next] = await Promise.all([RedisServer.start(), RedisServer.start()]);
    onTestFinished(() => Promise.all([old.remove(), next.remove()]).then(() => {}));
    const target = { port: portOf(old) };
    const connections = await connect(await virtualAddress(target), () => {});
    onTestFinished(() => disconnect(connections));
    await connections.request.set('a', '1');

    const admin = new Redis(old.url);
    onTestFinished(() => admin.disconnect());
    await admin.replicaof('127.0.0.1', portOf(next));
    target.port = portOf(next);
    for (const connection of [connections.request, connections.pictures, connections.worker]) {
      await connection.set('a', '2').catch(() => {});
      await expect.poll(() => connection.set('a', '3').catch(String)).toBe('OK');
    }
  });
});
