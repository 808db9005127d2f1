import { expect, test } from 'vitest';
import { Lanes } from '../../src/image/lanes.ts';

const FAST = { slow: false, bytes: 0 };
const slow = (bytes: number) => ({ slow: true, bytes });

/** Lanes whose tasks run until they are told to end, and the names of those that have started. */
function lanes() {
  const lanes = new Lanes({ threads: 3, slowThreads: 2, workable: () => 100 });
  const started: string[] = [];
  const run = (name: string, cost: { slow: boolean; bytes: number }) => {
    let end = () => {};
    const task = lanes.run(cost, () => {
      started.push(name);
      return new Promise<void>((resolve) => {
        end = resolve;
      });
    });
    return async () => {
      end();
      await task;
    };
  };
  return { lanes, started, run };
}

test('slow tasks leave a thread to the others', async () => {
  const { started, run } = lanes();
  const end = run('slow 1', slow(1));
  run('slow 2', slow(1));
  run('slow 3', slow(1));
  run('fast', FAST);
  await expect.poll(() => started).toEqual(['slow 1', 'slow 2', 'fast']);
  await end();
  await expect.poll(() => started).toEqual(['slow 1', 'slow 2', 'fast', 'slow 3']);
});

test('slow tasks wait for memory, and do not overtake each other', async () => {
  const { started, run } = lanes();
  const end = run('most', slow(80));
  run('too much now', slow(30));
  run('little', slow(1));
  await expect.poll(() => started).toEqual(['most']);
  await end();
  await expect.poll(() => started).toEqual(['most', 'too much now', 'little']);
});

test('a task that needs more than all memory runs alone', async () => {
  const { started, run } = lanes();
  const end = run('huge', slow(1000));
  run('little', slow(1));
  await expect.poll(() => started).toEqual(['huge']);
  await end();
  await expect.poll(() => started).toEqual(['huge', 'little']);
});

test('a task that fails frees its place', async () => {
  const { lanes: all, run, started } = lanes();
  const failing = () => all.run(slow(100), () => Promise.reject(new Error('failed')));
  for (let i = 0; i < 3; i++) await expect(failing()).rejects.toThrow('failed');
  run('next', slow(100));
  await expect.poll(() => started).toEqual(['next']);
});
