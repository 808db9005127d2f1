import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { atExit } from './at-exit.ts';
import { available } from './optional.ts';

/** REDIS_SERVER: another version of the program. */
const program = process.env.REDIS_SERVER ?? 'redis-server';

/** Whether there is a redis-server to test with. */
export const hasRedis = available(
  spawnSync(program, ['--version']).status === 0,
  'redis-server is not installed: apt-get install redis-server',
);

/** A real Redis server on a free port, which persists every write to disk. */
export class RedisServer {
  readonly url: string;
  readonly #dir = mkdtempSync(path.join(tmpdir(), 'redis-'));
  #process: ChildProcess | undefined;
  readonly #forget: () => void;

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort());
    await server.start();
    return server;
  }

  private constructor(port: number) {
    this.url = `redis://127.0.0.1:${port}`;
    this.#forget = atExit(this.#discard);
  }

  async start() {
    const { port } = new URL(this.url);
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
    const where = ['--bind', '127.0.0.1', '--port', port, '--dir', this.#dir];
    this.#process = spawn(program, [...where, ...durable], { stdio: 'ignore' });
    const client = new Redis(this.url, { maxRetriesPerRequest: null });
    client.on('error', () => {}); // expected until the server listens
    await client.ping();
    client.disconnect();
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM') {
    const process = this.#process;
    if (!process || process.exitCode !== null) return;
    process.kill(signal);
    await once(process, 'exit');
  }

  /** From now on it accepts connections and answers nothing, until resume(). */
  pause() {
    this.#process?.kill('SIGSTOP');
  }

  resume() {
    this.#process?.kill('SIGCONT');
  }

  async remove() {
    await this.stop('SIGKILL');
    this.#forget();
    this.#discard();
  }

  readonly #discard = () => {
    this.#process?.kill('SIGKILL');
    rmSync(this.#dir, { recursive: true, force: true });
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}
