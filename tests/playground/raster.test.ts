import { expect, test } from 'vitest';
import { drawShape } from '../../src/playground/worker/raster.ts';

test.each([
  ['one way', (at: number) => at],
  ['the other way', (at: number) => 10 - at],
])('a lasso that goes past its start, %s, covers all that it circled', (_, turned) => {
  const round = [
    [2, 2],
    [8, 2],
    [8, 8],
    [2, 8],
  ];
  const points = [...round, ...round.slice(0, 3)].map(([x, y]) => ({ x: turned(x), y }));
  const mask = { width: 10, height: 10, data: new Uint8Array(100) };
  drawShape(mask, { kind: 'lasso', points, erase: false });
  const covered = [...mask.data.keys()].filter((i) => mask.data[i] === 255);
  expect(covered).toHaveLength(36);
});
