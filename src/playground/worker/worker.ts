/** Decodes, encodes and draws masks away from the main thread, which must stay free for the pointer. */
import { changeMask, drawMask, emptyMask, keepMasks, maskFile } from './masks.ts';
import {
  decodeLevels,
  decodeUrl,
  extend,
  heatmap,
  openMask,
  openPicture,
  shrink,
  square,
  thumbnail,
} from './pictures.ts';

export const operations = {
  changeMask,
  decodeLevels,
  decodeUrl,
  drawMask,
  emptyMask,
  extend,
  heatmap,
  keepMasks,
  maskFile,
  openMask,
  openPicture,
  shrink,
  square,
  thumbnail,
};
export type Operations = typeof operations;

interface Call {
  id: number;
  name: keyof Operations;
  args: unknown[];
}

addEventListener('message', async ({ data: { id, name, args } }: MessageEvent<Call>) => {
  try {
    const result = await (operations[name] as (...args: unknown[]) => unknown)(...args);
    postMessage({ id, result }, { transfer: transferable(result) });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? { name: error.name, message: error.message } : {} });
  }
});

function transferable(result: unknown): Transferable[] {
  if (result instanceof ImageBitmap) return [result];
  if (Array.isArray(result)) return result.flatMap(transferable);
  if (result && typeof result === 'object' && 'levels' in result) return transferable(result.levels);
  return [];
}
