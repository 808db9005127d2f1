import { type Batch, DeviceError } from './engine.ts';
import type { NetworkSpec, Networks } from './network.ts';
import type { FromWorker, ToWorker } from './protocol.ts';
import { warmUp } from './warm-up.ts';

/** Messages of a failed device or of exhausted memory, from libraries that do not throw DeviceError. */
const DEVICE_FAILURE = /\bOOM\b|out of memory|resource ?exhausted|device (is |was )?lost|CUDA_ERROR/i;

/** Makes this process a worker: it loads a version's networks with `loadNetworks` and evaluates what its parent sends. */
export function runWorker(loadNetworks: (spec: NetworkSpec) => Promise<Networks>) {
  let loaded: Networks | undefined;

  process.on('message', async (message: ToWorker) => {
    if (message.type === 'load') await load(message.spec);
    else if (message.type === 'ping') send({ type: 'pong' });
    else await evaluate(message.id, message.batch, message.exclusive);
  });

  // Signals such as Ctrl-C reach the whole process group, but the parent still needs its workers to finish requests in
  // flight. It ends them by closing the channel.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  process.on('SIGHUP', () => {});
  process.on('disconnect', () => process.exit(0));

  async function load(spec: NetworkSpec) {
    try {
      const { networks: warm, bestBatch, rowSeconds } = await warmUp(await loadNetworks(spec), spec);
      loaded = warm;
      const { deviceName, deviceMemoryBytes, precision, networks } = warm;
      const info = { deviceName, deviceMemoryBytes, precision, networks, bestBatch };
      send({ type: 'loaded', ...info, rssBytes: process.memoryUsage.rss(), rowSeconds });
    } catch (error) {
      send({ type: 'load-failed', message: messageOf(error) });
    }
  }

  async function evaluate(id: number, batch: Batch, exclusive: boolean) {
    try {
      if (!loaded) throw new Error('no network is loaded');
      const started = performance.now();
      const prediction = await loaded.evaluate(batch, exclusive);
      send({ type: 'result', id, prediction, seconds: (performance.now() - started) / 1000 });
    } catch (error) {
      const message = messageOf(error);
      const deviceFailed = error instanceof DeviceError || DEVICE_FAILURE.test(message);
      send(deviceFailed ? { type: 'device-failed', message } : { type: 'error', id, message });
    }
  }
}

function send(message: FromWorker) {
  // The callback ignores a failed send: the parent is gone, and 'disconnect' ends this process.
  process.send?.(message, undefined, undefined, () => {});
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
