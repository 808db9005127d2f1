import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  JobLimitError,
  type JobQueue,
  type JobQueueOptions,
  type JobRequest,
  type JobResult,
} from '../../src/jobs/job.ts';

type Options = Partial<JobQueueOptions>;

const result: JobResult = { files: [new Uint8Array(10)], mediaType: 'image/png', answer: {} };
const newRequest = (bytes: number, owner?: string): JobRequest => ({
  id: randomUUID(),
  task: 'inpaint',
  fields: {},
  image: Buffer.alloc(bytes),
  owner,
});

/** Jobs that end when they are told to. */
function gate() {
  const waiting: { request: JobRequest; finish: (error?: Error) => void }[] = [];
  const perform: JobQueueOptions['perform'] = (request, { signal }) =>
    new Promise((resolve, reject) => {
      waiting.push({ request, finish: (error) => (error ? reject(error) : resolve(result)) });
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  return { waiting, perform };
}

/** What both queues promise about their limits. `open` is given the options of a queue of its own. */
export function limitsSuite(open: (options: Options) => Promise<JobQueue>) {
  const ended = (queue: JobQueue, id: string) =>
    expect.poll(async () => (await queue.get(id)).finishedAt).toBeTruthy();
  const fits = (queue: JobQueue, bytes: number, owner?: string) =>
    queue.reserve({ bytes, owner }).then(
      (reservation) => {
        reservation.release();
        return true;
      },
      (error) => {
        expect(error).toBeInstanceOf(JobLimitError);
        expect(error.retryAfterS).toBeGreaterThanOrEqual(1);
        return false;
      },
    );

  test('the bytes of input pictures are bounded, and released when a job ends, however it ends', async () => {
    const { waiting, perform } = gate();
    const queue = await open({ inputBytes: 100, perform, concurrency: 2 });
    const jobs = [];
    for (const bytes of [30, 30, 30]) jobs.push((await queue.submit(newRequest(bytes))).job);
    expect(await fits(queue, 10)).toBe(true);
    expect(await fits(queue, 11)).toBe(false);
    await expect(queue.submit(newRequest(11))).rejects.toThrow('JOB_INPUT_BYTES is reached');
    const held = await queue.reserve({ owner: undefined, bytes: 10 });
    expect(await fits(queue, 1)).toBe(false);
    held.release();
    held.release(); // only once
    await expect.poll(() => waiting.length).toBe(2);
    await queue.cancel(jobs[2].id); // waits
    expect([await fits(queue, 40), await fits(queue, 41)]).toEqual([true, false]);
    waiting[0].finish(new Error('boom'));
    await ended(queue, waiting[0].request.id);
    expect([await fits(queue, 70), await fits(queue, 71)]).toEqual([true, false]);
    waiting[1].finish();
    await ended(queue, waiting[1].request.id);
    expect(await fits(queue, 100)).toBe(true);
    const { job: large } = await queue.submit(newRequest(1000)); // one always fits
    await queue.cancel(large.id);
    await queue.cancel(large.id);
    expect(await fits(queue, 100)).toBe(true);
  });

  test('an owner that floods leaves room for others, in number and bytes', async () => {
    const { perform } = gate();
    const queue = await open({ limit: 8, inputBytes: 800, shared: true, perform });
    const accepted = async (bytes: number, owner: string) => {
      for (let count = 0; ; count++) {
        if (!(await fits(queue, bytes, owner))) return count;
        await queue.submit(newRequest(bytes, owner));
      }
    };
    expect(await accepted(1, 'a')).toBe(4);
    await expect(queue.submit(newRequest(1, 'a'))).rejects.toThrow('4 of 8 unfinished (JOB_LIMIT)');
    expect(await accepted(1, 'b')).toBe(2);
    expect(await accepted(1, 'c')).toBe(1);
    for (const owner of ['a', 'b', 'c'])
      for (const { id } of await queue.list({ owner, limit: 10 })) await queue.cancel(id);
    expect(await accepted(100, 'a')).toBe(4);
    expect(await fits(queue, 400, 'b')).toBe(true);
    for (const { id } of await queue.list({ owner: 'a', status: 'queued', limit: 10 }))
      await queue.cancel(id);
    for (const { id } of await queue.list({ owner: 'a', status: 'running', limit: 10 }))
      await queue.cancel(id);
  });

  test('owners whose jobs wait take turns', async () => {
    const { waiting, perform } = gate();
    const queue = await open({ concurrency: 1, perform });
    const names = new Map<string, string>();
    for (const name of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1']) {
      const { job } = await queue.submit(newRequest(1, name[0]));
      names.set(job.id, name);
      if (name === 'a1') await expect.poll(() => waiting.length).toBe(1);
    }
    expect(await queue.waiting()).toBe(6);
    const order = [];
    for (let i = 0; i < names.size; i++) {
      await expect.poll(() => waiting.length).toBe(i + 1);
      order.push(names.get(waiting[i].request.id));
      waiting[i].finish();
    }
    expect(order).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
    await expect.poll(() => queue.waiting()).toBe(0);
  });

  test('finished and cancelled jobs are bounded in number, and their keys with them', async () => {
    const { perform } = gate();
    const queue = await open({ history: 3, perform });
    const ids: string[] = [];
    for (let i = 0; i < 6; i++) {
      const { job } = await queue.submit(newRequest(1), { value: `key ${i}`, fingerprint: 'x' });
      ids.push(job.id);
      await queue.cancel(job.id);
    }
    const listed = await queue.list({ owner: undefined, limit: 10 });
    expect(listed.map(({ id }) => id)).toEqual(ids.slice(3).reverse());
    expect(await queue.find({ value: 'key 0', fingerprint: 'other' }, undefined)).toBeUndefined();
    expect((await queue.find({ value: 'key 5', fingerprint: 'x' }, undefined))?.id).toBe(ids[5]);
  });

  test('lists: by owner and status, newest first, at most so many', async () => {
    const { waiting, perform } = gate();
    const queue = await open({ concurrency: 2, perform });
    const ids: string[] = [];
    for (const owner of ['a', 'a', 'a', 'b', undefined]) {
      ids.push((await queue.submit(newRequest(1, owner))).job.id);
      await expect.poll(() => waiting.length).toBe(Math.min(2, ids.length));
      await new Promise((resolve) => setTimeout(resolve, 5)); // another time of creation
    }
    await queue.cancel(ids[2]);
    const list = async (...[filter]: Parameters<JobQueue['list']>) =>
      (await queue.list(filter)).map(({ id }) => ids.indexOf(id));
    expect(await list({ owner: 'a', limit: 10 })).toEqual([2, 1, 0]);
    expect(await list({ owner: 'a', limit: 2 })).toEqual([2, 1]);
    expect(await list({ owner: 'a', status: 'running', limit: 10 })).toEqual([1, 0]);
    expect(await list({ owner: 'a', status: 'running', limit: 1 })).toEqual([1]);
    expect(await list({ owner: 'a', status: 'cancelled', limit: 10 })).toEqual([2]);
    expect(await list({ owner: 'b', status: 'queued', limit: 10 })).toEqual([3]);
    expect(await list({ owner: undefined, limit: 10 })).toEqual([4]);
    for (const id of ids) await queue.cancel(id);
  });

  test('Retry-After of a full queue follows from how far the jobs are that run', async () => {
    const perform: JobQueueOptions['perform'] = (_, { signal, onProgress }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        setTimeout(() => onProgress({ step: 1, of: 1000, eta_ms: 0, timestep: 0, abar: 1 }), 20);
      });
    const queue = await open({ limit: 1, perform });
    const { job } = await queue.submit(newRequest(1));
    await expect.poll(async () => (await queue.get(job.id)).progress.step).toBe(1);
    const refused = await queue.reserve({ owner: undefined, bytes: 1 }).catch((error) => error);
    expect(refused).toBeInstanceOf(JobLimitError);
    expect(refused.retryAfterS).toBeGreaterThan(10); // 20 ms for the first of 1000 steps
    await queue.cancel(job.id);
  });

  test('the evaluations that a job takes are kept with it', async () => {
    const queue = await open({});
    const work = [
      { network: 'base' as const, rows: 7, steps: 20 },
      { network: 'refiner' as const, rows: 1, steps: 6 },
    ];
    const { job } = await queue.submit({ ...newRequest(1), work });
    expect((await queue.get(job.id)).work).toEqual(work);
  });
}
