/**
 * npm run bench:soak -- [minutes]: does memory stay constant? Saturates the built service with every kind of request, more
 * than its queue holds, and records the resident memory of its processes. Exits 1 on any status but 2xx, 429 and 404 (of a
 * job that is kept no longer), on a request without a response, on a minute without a 2xx, or if memory grew by more than a
 * tenth between minutes 3 to 6 and the last three minutes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { keepAsking, startTally } from './clients.ts';
import { type Memory, mean, memoryOf } from './memory.ts';
import { IMAGE_MALLOC, startService } from './service.ts';

const MINUTES = Number(process.argv[2] ?? 20);
const CLIENTS = 24;
const QUEUE_LIMIT = 16;
const SAMPLE_EVERY_MS = 10_000;
const MOST_GROWTH = 0.1;

const { child, pid, url } = await startService({
  QUEUE_LIMIT: String(QUEUE_LIMIT),
  JOB_TTL_MS: '30000', // finished jobs are kept in memory; this reaches a steady state soon
  ...IMAGE_MALLOC,
});
const { tally, count } = startTally();
const end = new AbortController();
const clients = keepAsking(url, CLIENTS, count, end.signal);

const minutes: Memory[] = [];
const failures = new Set<string>();
console.log('| minute | HTTP process, MB | workers, MB | answered | 429 | disconnected | other |');
console.log('| --- | --- | --- | --- | --- | --- | --- |');
for (let minute = 1; minute <= MINUTES; minute++) {
  const samples: Memory[] = [];
  for (const until = performance.now() + 60_000; performance.now() < until; ) {
    await sleep(SAMPLE_EVERY_MS);
    samples.push(memoryOf(pid));
  }
  minutes.push(mean(samples));
  report(minute);
}
end.abort();
await clients;
child.kill('SIGTERM');

const tooShort = MINUTES < 9;
const grown = growth();
const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
console.log(
  tooShort
    ? '\ntoo short to measure growth, which takes 9 minutes'
    : `\ngrown from minutes 3-6 to the last three: HTTP process ${percent(grown.http)}, workers ${percent(grown.workers)}`,
);
console.log(`failures: ${[...failures].join(', ') || 'none'}`);
const leaks = !tooShort && Math.max(grown.http, grown.workers) > MOST_GROWTH;
if (leaks || failures.size > 0) process.exitCode = 1;

function growth(): Memory {
  const before = mean(minutes.slice(2, 6));
  const after = mean(minutes.slice(-3));
  return { http: after.http / before.http - 1, workers: after.workers / before.workers - 1 };
}

/** Prints the line for a minute and resets the counts. */
function report(minute: number) {
  const take = (wanted: (what: string) => boolean) => {
    const found = [...tally].filter(([what]) => wanted(what));
    for (const [what] of found) tally.delete(what);
    return found;
  };
  const total = (wanted: (what: string) => boolean) => take(wanted).reduce((sum, [, n]) => sum + n, 0);
  const { http, workers } = minutes[minute - 1];
  const answered = total((what) => what.startsWith('2'));
  if (answered === 0) failures.add(`nothing answered in minute ${minute}`);
  const line = [
    minute,
    http.toFixed(0),
    workers.toFixed(0),
    answered,
    total((what) => what === '429'),
    total((what) => what === 'disconnected'),
  ];
  const others = take(() => true);
  for (const [what] of others) if (what !== '404') failures.add(what);
  console.log(`| ${line.join(' | ')} | ${others.map(([what, n]) => `${n} × ${what}`).join(', ')} |`);
}
