import { expect, test } from 'vitest';
import type { App } from '../../src/playground/actions/app.ts';
import { Editing } from '../../src/playground/actions/editing.ts';
import { shownRun } from '../../src/playground/state/select.ts';
import { INITIAL, Store } from '../../src/playground/state/store.ts';
import type { Run } from '../../src/playground/state/types.ts';

const picture = { id: 'face', file: new Blob(), name: 'face.png', width: 64, height: 64, transparent: false };
const mask = { version: 1, fraction: 0.5 };

test('undo and redo lead to the hole where the result is no longer kept, and say so', async () => {
  const store = new Store({
    ...INITIAL,
    document: { picture, mask },
    runs: [{ id: 'kept', picture, mask } as Run],
  });
  const editing = new Editing({ store } as App);
  for (const run of ['dropped', 'kept'])
    editing.push('fill', { picture, mask, shown: { run, candidate: 0 } });
  editing.undo();
  await editing.settled;
  expect(store.state.document).toEqual({ picture, mask });
  expect(store.state.message).toBe(
    'Undone: fill. The result at this point is no longer kept; its hole is shown.',
  );
  editing.redo();
  await editing.settled;
  expect(shownRun(store.state)?.id).toBe('kept');
  expect(store.state.message).toBe('Redone: fill.');
  for (const move of [editing.undo, editing.undo, editing.redo]) move.call(editing);
  await editing.settled;
  expect(store.state.document?.shown).toBeUndefined();
});
