import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { runWorker } from '../../src/engine/worker-loop.ts';

/** Never answers, like a driver that is stuck. */
const hang = <T>() => new Promise<T>(() => {});

/**
 * A worker with the real network, on a device that fails: with the message in the file that FAULT names, while there is
 * one, and from then on for as long as the process lives. With the message "never answers" it does not answer.
 *
 * A model in a folder whose name ends with that of HUNG_VERSION is never loaded; the file `FAULT`.loading says so.
 */
runWorker(async (spec) => {
  const file = process.env.FAULT ?? '';
  const { HUNG_VERSION } = process.env;
  if (HUNG_VERSION && spec.folder.endsWith(HUNG_VERSION)) {
    writeFileSync(`${file}.part`, String(process.pid));
    renameSync(`${file}.part`, `${file}.loading`);
    return hang();
  }
  const network = await loadOnnx({ ...spec, device: 'cpu' });
  let fault: string | undefined;
  return {
    ...network,
    evaluate(batch, exclusive) {
      if (existsSync(file)) fault ??= readFileSync(file, 'utf8');
      if (fault === 'never answers') return hang();
      return fault === undefined ? network.evaluate(batch, exclusive) : Promise.reject(new Error(fault));
    },
  };
});
