import { readFile } from 'node:fs/promises';
import type { Engine, EngineInfo } from '../../src/engine/engine.ts';
import type { Network, NetworkSpec } from '../../src/engine/network.ts';
import { decodePicture } from '../../src/image/decode.ts';
import { decodeMask } from '../../src/image/mask.ts';
import { inpaint } from '../../src/inpainting/inpaint.ts';
import type { ServedModel } from '../../src/registry/served-model.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import { openRealRegistry } from '../helpers/model.ts';

/** Fills the same hole on two networks, from picture to picture: the mean difference inside it, of 255. */
export async function fillingDifference(
  spec: NetworkSpec,
  a: Network,
  b: Network,
  steps = 6,
): Promise<number> {
  const picture = await decodePicture(await readFile('examples/face-1.png'), 'image', { maxPixels: 1e6 });
  const mask = await decodeMask(await readFile('examples/mask-1.png'), 'mask', { maxPixels: 1e6 });
  const sampling = { seed: 7, numImages: 1, sampler: 'ddpm', steps, eta: 0 } as const;
  const parameters = { ...sampling, strategy: 'auto', maskBlur: 0 } as const;
  const fill = async (network: Network) => {
    const { pictures } = await inpaint(await served(spec, network), { picture, mask, parameters });
    return pictures[0].data;
  };
  const [filledA, filledB] = [await fill(a), await fill(b)];
  const hole = [...filledA.keys()].filter((i) => mask.data[Math.floor(i / picture.channels)] > 0);
  return hole.reduce((sum, i) => sum + Math.abs(filledA[i] - filledB[i]), 0) / hole.length;
}

/** The model, its network in this process: what is computed counts here, not where. */
async function served(spec: NetworkSpec, network: Network): Promise<ServedModel> {
  const { card } = (await openRealRegistry()).get();
  const info: EngineInfo = { ...spec, ...network, bestBatch: 1, workers: 1 };
  const engine: Engine = {
    info,
    alive: 1,
    onAlive: undefined,
    evaluate: (batch) => network.evaluate(batch, true),
    close: async () => {},
  };
  const scheduler = new Scheduler({ engine, limit: 8 });
  return { ref: 'test', card, digest: '', state: 'ready', open: async () => ({ scheduler, engine: info }) };
}
