import { afterEach, describe, expect, test, vi } from 'vitest';
import type { App } from '../../src/playground/actions/app.ts';
import { Editing } from '../../src/playground/actions/editing.ts';
import type { Filling } from '../../src/playground/actions/filling.ts';
import { Opening } from '../../src/playground/actions/opening.ts';
import { INITIAL, Store } from '../../src/playground/state/store.ts';
import type { ActiveFill, Document, Run } from '../../src/playground/state/types.ts';
import { changeMask, emptyMask, keepMasks } from '../../src/playground/worker/masks.ts';
import { openPicture } from '../../src/playground/worker/pictures.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

const documentOf = (id: string): Document => ({
  picture: { id, file: new Blob(), name: id, width: 64, height: 64, transparent: false },
  mask: { version: 1, fraction: 0 },
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

describe('“Continue from this”', () => {
  const before = documentOf('before');
  const run = { ...before, id: 'run', candidates: [{ file: new Blob() }] } as Run;
  const shown = { ...before, shown: { run: 'run', candidate: 0 } };

  test('pressed twice, is one step', async () => {
    const store = new Store({ ...INITIAL, document: shown, runs: [run] });
    const studio = { emptyMask: async () => ({ version: 2, fraction: 0 }) };
    const editing = new Editing({ store, studio } as unknown as App);
    await Promise.all([editing.keep(), editing.keep()]);
    expect(store.state.past.map(({ label }) => label)).toEqual(['continue from a result']);
    expect(store.state.document?.picture.name).toBe('before-filled.png');
  });

  test.each([
    'a picture that is opened',
    'a fill that is started',
  ])('does not replace %s meanwhile', async (what) => {
    const store = new Store({ ...INITIAL, document: shown, runs: [run] });
    const studio = {
      emptyMask: async () => {
        if (what.startsWith('a fill')) store.set({ fill: {} as ActiveFill });
        else editing.push('open a picture', documentOf('new'));
        return { version: 2, fraction: 0 };
      },
    };
    const editing = new Editing({ store, studio } as unknown as App);
    await editing.keep();
    expect(store.state.document?.picture.name).toBe(what.startsWith('a fill') ? 'before' : 'new');
  });
});

test.each([
  [true, 'new.png'],
  [false, 'old'],
])('a fill that is started while a picture is decoded is asked about; the answer is %s', async (sure, shown) => {
  const store = new Store({ ...INITIAL, document: documentOf('old') });
  const level = { close: vi.fn() };
  const size = { width: 64, height: 64 };
  const studio = {
    openPicture: async () => {
      store.set({ fill: {} as ActiveFill });
      const mask = { version: 2, fraction: 0 };
      return { ...size, file: new Blob(), transparent: false, mask, levels: [level] };
    },
  };
  const stage = { bitmaps: { put() {} }, size, schedule() {} };
  const app = { store, studio, stage } as unknown as App;
  const filling = { cancel: async () => store.set({ fill: undefined }) } as Filling;
  const opening = new Opening(app, new Editing(app), filling, Promise.resolve());
  const opened = opening.open(new Blob(), 'new.png');
  await vi.waitFor(() => expect(store.state.question?.text).toMatch(/^A fill is in progress/));
  store.state.question?.answer(sure);
  expect(await opened).toBe(sure);
  expect(store.state.document?.picture.name).toBe(shown);
  expect(store.state.fill === undefined).toBe(sure);
  expect(level.close).toHaveBeenCalledTimes(sure ? 0 : 1);
});
