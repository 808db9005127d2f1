/** A worker whose network predicts zeros at once: what remains is the cost of everything around the network. */
import { runWorker } from '../src/engine/worker-loop.ts';

runWorker(async ({ outChannels, resolution }) => ({
  deviceName: 'none',
  precision: 'fp32',
  evaluate: async ({ rows }) => new Float32Array(rows * outChannels * resolution ** 2),
}));
