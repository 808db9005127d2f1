import { afterEach, expect, test, vi } from 'vitest';
import type { App } from '../../src/playground/actions/app.ts';
import { Editing } from '../../src/playground/actions/editing.ts';
import { INITIAL, Store } from '../../src/playground/state/store.ts';
import type { Document } from '../../src/playground/state/types.ts';
import { changeMask, emptyMask, keepMasks } from '../../src/playground/worker/masks.ts';
import { openPicture } from '../../src/playground/worker/pictures.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

test('a stroke while a picture is opened does not make its mask unknown', async () => {
  const bitmap = { width: 1024, height: 768 };
  const decode = vi.fn(async () => {
    if (decode.mock.calls.length === 2) keepMasks([emptyMask(64, 64).version]); // a stroke on the picture before
    return bitmap;
  });
  vi.stubGlobal('createImageBitmap', decode);
  const { mask } = await openPicture(new Blob([], { type: 'image/jpeg' }));
  expect(changeMask(mask.version, { kind: 'invert' }).fraction).toBe(1);
});

test('a stroke that ends after another picture was opened does not bring the old one back', async () => {
  const documentOf = (id: string): Document => ({
    picture: { id, file: new Blob(), name: id, width: 64, height: 64, transparent: false },
    mask: { version: 1, fraction: 0 },
  });
  const store = new Store({ ...INITIAL, document: documentOf('old') });
  const studio = {
    changeMask: async () => {
      editing.push('open a picture', documentOf('new'));
      return { version: 2, fraction: 1 };
    },
  };
  const editing = new Editing({ store, studio } as unknown as App);
  await editing.changeMask({ kind: 'invert' }, 'invert');
  expect(store.state.document?.picture.id).toBe('new');
});
