import { type Batch, DeviceError } from './engine.ts';
import type { Network, NetworkSpec } from './network.ts';
import type { FromWorker, ToWorker } from './protocol.ts';
import { warmUp } from './warm-up.ts';

/** How libraries that know no DeviceError say that memory or device is gone. */
const DEVICE_FAILURE = /\bOOM\b|out of memory|resource ?exhausted|device (is |was )?lost|CUDA_ERROR/i;

/** Makes this process a worker: it loads one network with `loadNetwork` and evaluates what its parent sends. */
export function serve(loadNetwork: (spec: NetworkSpec) => Promise<Network>) {
  let network: Network | undefined;

  process.on('message', async (message: ToWorker) => {
    if (message.type === 'load') await load(message.spec);
    else await evaluate(message.id, message.batch, message.alone);
  });

  // Ctrl-C reaches the whole process group; the parent decides when its workers end, by closing the channel.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  process.on('SIGHUP', () => {});
  process.on('disconnect', () => process.exit(0));

  async function load(spec: NetworkSpec) {
    try {
      const warm = await warmUp(await loadNetwork(spec), spec);
      network = warm.network;
      const { deviceName, deviceMemoryBytes, precision } = network;
      const { bestBatch } = warm;
      const rssBytes = process.memoryUsage.rss();
      send({ type: 'loaded', deviceName, deviceMemoryBytes, precision, bestBatch, rssBytes });
    } catch (error) {
      send({ type: 'load-failed', message: reason(error) });
    }
  }

  async function evaluate(id: number, batch: Batch, alone: boolean) {
    try {
      if (!network) throw new Error('no network is loaded');
      const started = performance.now();
      const prediction = await network.evaluate(batch, alone);
      send({ type: 'result', id, prediction, seconds: (performance.now() - started) / 1000 });
    } catch (error) {
      const message = reason(error);
      const lost = error instanceof DeviceError || DEVICE_FAILURE.test(message);
      send(lost ? { type: 'lost', message } : { type: 'error', id, message });
    }
  }
}

function send(message: FromWorker) {
  // A parent that has gone cannot be told; 'disconnect' ends this process.
  process.send?.(message, undefined, undefined, () => {});
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
