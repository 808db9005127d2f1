import { afterEach, expect, test, vi } from 'vitest';
import type { App } from '../../src/playground/actions/app.ts';
import { Editing } from '../../src/playground/actions/editing.ts';
import { Filling } from '../../src/playground/actions/filling.ts';
import { INITIAL, Store } from '../../src/playground/state/store.ts';
import type { Document } from '../../src/playground/state/types.ts';
import { openMask, thumbnail } from '../../src/playground/worker/pictures.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

test('the memory of a decoded picture is given back, also after an error', async () => {
  const bitmap = { width: 8, height: 8, close: vi.fn() };
  vi.stubGlobal('createImageBitmap', async () => bitmap);
  await expect(openMask(new Blob(), { width: 9, height: 8 })).rejects.toThrow('The mask is 8 × 8 px');
  expect(bitmap.close).toHaveBeenCalledTimes(1);
  const small = new Blob(['small']);
  class Canvas {
    getContext = () => ({ drawImage() {}, canvas: this });
    convertToBlob = async () => {
      expect(bitmap.close).toHaveBeenCalledTimes(1); // not while it is used
      return small;
    };
  }
  vi.stubGlobal('OffscreenCanvas', Canvas);
  expect(await thumbnail(new Blob())).toBe(small);
  expect(bitmap.close).toHaveBeenCalledTimes(2);
});

test('the results of a fill are decoded one after the other', async () => {
  const picture = { id: 'a', file: new Blob(), name: 'a.png', width: 8, height: 8, transparent: false };
  const document: Document = { picture, mask: { version: 1, fraction: 0.5 } };
  const result = { model: 'fake@1', seed: 7, sampler: 'ddim', steps: 1, eta: 0, timings_ms: {} };
  const job = { id: 'job', parameters: result, images: ['0', '1', '2'] };
  vi.stubGlobal('fetch', async (path: string) =>
    path.endsWith('/events')
      ? new Response(`event: result\ndata: ${JSON.stringify(result)}\n\n`)
      : Response.json(job),
  );
  const store = new Store({ ...INITIAL, document });
  let decoded = 0;
  const studio = {
    maskFile: async () => new Blob(),
    thumbnail: async () => {
      expect(++decoded).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      decoded--;
      return new Blob();
    },
  };
  const app = { store, studio } as unknown as App;
  await new Filling(app, new Editing(app)).start();
  expect(store.state.errors).toEqual({});
  expect(store.state.runs[0].candidates).toHaveLength(3);
});
