/**
 * npm run bench:rolling -- [seconds]: restarts two processes of the service in turn with SIGTERM, behind nginx and with
 * one Redis, while clients send every kind of request. Exits 1 if a request is lost: each must be answered with 2xx, or
 * with 429 when the queue is full.
 *
 * Starts the built service, nginx and redis-server. The environment variables CLIENTS and FIRST_PORT change scale and ports.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atExit } from '../tests/helpers/at-exit.ts';
import { RedisServer } from '../tests/helpers/redis.ts';
import { keepAsking, startTally } from './clients.ts';
import { FIRST_PORT, startReplica } from './replicas.ts';

const SECONDS = Number(process.argv[2] ?? 60);
const CLIENTS = Number(process.env.CLIENTS ?? 8);
const SHORT_CLIENTS = 4;
/** Long enough for a busy machine: this benchmark counts lost requests and does not measure speed. */
const GRACE_MS = 120_000;

const [front, ...ports] = [0, 1, 2].map((n) => FIRST_PORT + n);
const folder = await mkdtemp(join(tmpdir(), 'ddpm-rolling-'));
const redis = await RedisServer.start();
const replicas = new Map<number, ChildProcess>();
await Promise.all(ports.map(start));
const nginx = await startNginx();

const { tally, count } = startTally();
const end = new AbortController();
const url = `http://127.0.0.1:${front}`;
const face = new Blob([await readFile('examples/face-1.png')]);
const asking = Promise.all([
  keepAsking(url, CLIENTS, count, end.signal),
  ...Array.from({ length: SHORT_CLIENTS }, askShortly),
]);
const started = performance.now();
let restarts = 0;
let unclean = 0;
const drains: number[] = [];
while (performance.now() - started < SECONDS * 1000 || restarts % ports.length !== 0) {
  await sleep(5000);
  await restart(ports[restarts % ports.length]);
  restarts++;
}
end.abort();
await asking;
const seconds = (performance.now() - started) / 1000;

nginx.kill('SIGQUIT');
for (const child of replicas.values()) child.kill('SIGTERM');
await Promise.all([nginx, ...replicas.values()].map((child) => once(child, 'exit')));
await redis.remove();
await rm(folder, { recursive: true });

const lost = [...tally].filter(([what]) => !/^2\d\d$|^429$|^disconnected$/.test(what));
console.log(
  `${restarts} restarts in ${seconds.toFixed(0)} s; from SIGTERM to exit ${drains.map((s) => s.toFixed(1)).join(', ')} s`,
);
console.log(
  `answers: ${JSON.stringify(Object.fromEntries(tally))}; processes that did not exit with 0: ${unclean}`,
);
console.log(lost.length === 0 ? 'no request was lost' : `LOST: ${JSON.stringify(Object.fromEntries(lost))}`);
process.exit(lost.length === 0 && unclean === 0 ? 0 : 1);

async function start(port: number) {
  const defaults = { DEVICE: 'cpu', SHUTDOWN_GRACE_MS: String(GRACE_MS) }; // a CPU starts fastest
  replicas.set(port, await startReplica(port, redis.url, defaults));
}

/** Restarts a replica and waits until it is ready, like a rolling update. */
async function restart(port: number) {
  const child = replicas.get(port);
  if (!child) throw new Error(`nothing runs on ${port}`);
  const asked = performance.now();
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  drains.push((performance.now() - asked) / 1000);
  if (code !== 0) unclean++;
  await start(port);
}

/** Sends many short requests, to hit the moments in which a connection is being closed. */
async function askShortly() {
  while (!end.signal.aborted) {
    const body = new FormData();
    body.set('image', face, 'face.png');
    body.set('timesteps', '500');
    await fetch(`${url}/v1/diffuse`, { method: 'POST', body }).then(
      async (answer) => {
        await answer.arrayBuffer();
        count(String(answer.status));
      },
      (error) => count(String(error)),
    );
    await sleep(50);
  }
}

async function startNginx(): Promise<ChildProcess> {
  await chmod(folder, 0o755); // nginx workers may run as another user
  const file = join(folder, 'nginx.conf');
  await writeFile(file, nginxConf());
  const child = spawn('nginx', ['-c', file, '-g', 'daemon off;'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  atExit(() => child.kill('SIGTERM')); // its workers would outlive SIGKILL
  while (!(await fetch(`http://127.0.0.1:${front}/health/live`).catch(() => undefined))?.ok) await sleep(100);
  return child;
}

/**
 * nginx does not check readiness. It tries the other replica after a refused connection, or after the 503 with which a
 * replica that is stopping or loading its model answers before it starts any work. non_idempotent allows this for POST.
 * If a replica dies while working, the work is repeated, which is harmless: fills and samples have no side effects, and
 * jobs have an Idempotency-Key.
 */
function nginxConf(): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events {}
http {
  access_log off;
  ${temporary.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n  ')}
  upstream replicas {
    ${ports.map((port) => `server 127.0.0.1:${port} max_fails=0;`).join('\n    ')} # never mark a replica as unavailable
    keepalive 16;
  }
  server {
    listen 127.0.0.1:${front};
    client_max_body_size 32m; # MAX_UPLOAD_BYTES
    location / {
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off; # deliver events immediately
      proxy_read_timeout 300s;
      proxy_next_upstream error http_503 non_idempotent;
    }
  }
}
`;
}
