import { existsSync, readFileSync } from 'node:fs';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { runWorker } from '../../src/engine/worker-loop.ts';

/**
 * A worker with the real network, on a device that fails: with the message in the file that FAULT names, while there is
 * one, and from then on for as long as the process lives.
 */
runWorker(async (spec) => {
  const network = await loadOnnx({ ...spec, device: 'cpu' });
  const file = process.env.FAULT ?? '';
  let fault: string | undefined;
  return {
    ...network,
    evaluate(batch, exclusive) {
      if (existsSync(file)) fault ??= readFileSync(file, 'utf8');
      return fault === undefined ? network.evaluate(batch, exclusive) : Promise.reject(new Error(fault));
    },
  };
});
