/** A worker whose network predicts zeros at once: what remains is the cost of everything around the network. */
import { outputLength } from '../src/engine/network.ts';
import { runWorker } from '../src/engine/worker-loop.ts';

runWorker(async ({ networks: { base } }) => ({
  deviceName: 'none',
  precision: 'fp32',
  networks: ['base'],
  evaluate: async ({ rows }) => new Float32Array(rows * outputLength(base)),
}));
