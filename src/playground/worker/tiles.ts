/** A mask of any values 0..255, row by row; 0: kept, 255: hole. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8Array;
}

const SIDE = 256;

/**
 * A copy of a mask in square tiles. A tile that did not change since the snapshot before is shared with it, so that a
 * hundred undo steps of a 12-megapixel mask take little more memory than what was painted.
 */
export interface Snapshot {
  width: number;
  height: number;
  tiles: Uint8Array[];
}

/** Takes a snapshot; `before` is an earlier one of the same size, if there is one. */
export function takeSnapshot({ width, height, data }: Pixels, before?: Snapshot): Snapshot {
  const shared = before?.width === width && before.height === height ? before.tiles : [];
  const tiles: Uint8Array[] = [];
  forEachTile(width, height, (left, top, w, h) => {
    const old = shared[tiles.length];
    tiles.push(old && same(old, data, width, left, top, w, h) ? old : cut(data, width, left, top, w, h));
  });
  return { width, height, tiles };
}

/** The pixels of a snapshot. */
export function fromSnapshot({ width, height, tiles }: Snapshot): Pixels {
  const data = new Uint8Array(width * height);
  let index = 0;
  forEachTile(width, height, (left, top, w, h) => {
    const tile = tiles[index++];
    for (let y = 0; y < h; y++) data.set(tile.subarray(y * w, (y + 1) * w), (top + y) * width + left);
  });
  return { width, height, data };
}

function forEachTile(
  width: number,
  height: number,
  visit: (left: number, top: number, w: number, h: number) => void,
) {
  for (let top = 0; top < height; top += SIDE)
    for (let left = 0; left < width; left += SIDE)
      visit(left, top, Math.min(SIDE, width - left), Math.min(SIDE, height - top));
}

function same(
  tile: Uint8Array,
  data: Uint8Array,
  width: number,
  left: number,
  top: number,
  w: number,
  h: number,
) {
  for (let y = 0; y < h; y++) {
    const at = (top + y) * width + left;
    for (let x = 0; x < w; x++) if (tile[y * w + x] !== data[at + x]) return false;
  }
  return true;
}

function cut(data: Uint8Array, width: number, left: number, top: number, w: number, h: number): Uint8Array {
  const tile = new Uint8Array(w * h);
  for (let y = 0; y < h; y++) {
    const at = (top + y) * width + left;
    tile.set(data.subarray(at, at + w), y * w);
  }
  return tile;
}
