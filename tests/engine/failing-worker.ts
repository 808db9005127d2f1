import { existsSync, readFileSync } from 'node:fs';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { serve } from '../../src/engine/serve.ts';

/**
 * A worker with the real network, on a device that fails: with the message in the file that FAULT names, while there is
 * one, and from then on for as long as the process lives.
 */
serve(async (spec) => {
  const network = await loadOnnx({ ...spec, device: 'cpu' });
  const file = process.env.FAULT ?? '';
  let fault: string | undefined;
  return {
    ...network,
    evaluate(batch, alone) {
      if (existsSync(file)) fault ??= readFileSync(file, 'utf8');
      return fault === undefined ? network.evaluate(batch, alone) : Promise.reject(new Error(fault));
    },
  };
});
