import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { expect, onTestFinished, test } from 'vitest';
import { usableCores } from '../../src/machine.ts';
import { openRealRegistry } from '../helpers/model.ts';

/** Uses all of one core until the test ends. */
async function startBusyLoop() {
  const loop = spawn(process.execPath, ['-e', 'console.log("started"); for (;;);'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  onTestFinished(() => void loop.kill('SIGKILL'));
  await once(loop.stdout, 'data');
}

/** What the real model, loaded as the service loads it, decides when it starts. */
async function startedWith() {
  const registry = await openRealRegistry();
  try {
    const { workers, bestBatch } = (await registry.get().open()).engine;
    return { workers, bestBatch };
  } finally {
    await registry.close();
  }
}

test('a start beside busy processes has the workers and the batch size of a quiet one', async () => {
  const quiet = await startedWith();
  await Promise.all(Array.from({ length: availableParallelism() }, startBusyLoop));
  expect(await startedWith()).toEqual(quiet);
  expect(quiet).toEqual({ workers: usableCores(), bestBatch: 1 });
});
