/**
 * A worker process: loads one network and evaluates what it is sent. onnxruntime-node's run() blocks the thread that
 * calls it, and a native crash takes its process along: both stay out of the process that answers HTTP.
 */
import type { Batch } from './engine.ts';
import type { Network, NetworkSpec } from './network.ts';
import type { FromWorker, ToWorker } from './protocol.ts';
import { bestBatch } from './warm-up.ts';

/** Imported on demand: a worker loads the libraries of its own engine alone. */
const LOAD = {
  onnx: async (spec: NetworkSpec) => (await import('./onnx.ts')).loadOnnx(spec),
  tfjs: async (spec: NetworkSpec) => (await import('./tfjs/tfjs.ts')).loadTfjs(spec),
};

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
    network = await LOAD[spec.engine](spec);
    const { deviceName, precision } = network;
    send({ type: 'loaded', deviceName, precision, bestBatch: await bestBatch(network, spec) });
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
    send({ type: 'error', id, message: reason(error) });
  }
}

function send(message: FromWorker) {
  // A parent that has gone cannot be told; 'disconnect' ends this process.
  process.send?.(message, undefined, undefined, () => {});
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
