/** A model and its part of the requests that name none. */
export interface Part {
  /** "id" (its newest version) or "id@version". */
  reference: string;
  /** 0 or more; what counts is its share of the sum. */
  weight: number;
}

/** A default is not written as one. */
export class SplitError extends Error {
  override name = 'SplitError';
}

const ENTRY = /^(?:([a-z0-9][a-z0-9._-]*)?@([0-9]+)|([a-z0-9][a-z0-9._-]*))(?::([0-9]+(?:\.[0-9]+)?))?$/;

/**
 * Reads "id", "id@version", or a split such as "id@1:90,@2:10", where an entry without an id means that of the entry
 * before. Throws SplitError.
 */
export function parseSplit(text: string): Part[] {
  const parts: Part[] = [];
  let last: string | undefined;
  for (const entry of text.split(',')) {
    const [, idOfVersion, version, idAlone, weight] = entry.trim().match(ENTRY) ?? [];
    const id: string | undefined = idAlone ?? idOfVersion ?? last;
    if (!id || (version === undefined && idAlone === undefined)) throw new SplitError(HOW);
    parts.push({ reference: version ? `${id}@${version}` : id, weight: weight ? Number(weight) : 1 });
    if (text.includes(',') && !(version && weight)) throw new SplitError(HOW);
    last = id;
  }
  if (new Set(parts.map(({ reference }) => reference)).size < parts.length)
    throw new SplitError('must not name a version twice');
  if (parts.every(({ weight }) => weight === 0))
    throw new SplitError('must give a weight above 0 to one at least');
  return parts;
}

const HOW = 'must be like celeba-inpaint-64, celeba-inpaint-64@1 or celeba-inpaint-64@1:90,@2:10';

/**
 * The part that a request of this seed goes to: always the same, and over all seeds each part as often as its weight
 * says. Weights that change move only as many seeds as they have to.
 *
 * @param seed 0..2^32-1
 */
export function partOf<P extends { weight: number }>(parts: readonly P[], seed: number): P {
  const total = parts.reduce((sum, { weight }) => sum + weight, 0);
  let left = (mixed(seed) / 2 ** 32) * total;
  for (const part of parts) {
    left -= part.weight;
    if (left < 0) return part;
  }
  return parts[parts.length - 1];
}

/** A permutation of 0..2^32-1 whose every output bit depends on every input bit (murmur3's finaliser). */
function mixed(seed: number): number {
  let h = seed >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
