/** A model reference and its weight among the requests that name no model. */
export interface TrafficShare {
  /** "id", which means its newest version, or "id@version". */
  reference: string;
  /** 0 or more, relative to the sum of all weights. */
  weight: number;
}

/** A text is neither a model reference nor a traffic split. The message completes the sentence "it ...". */
export class SplitError extends Error {
  override name = 'SplitError';
}

const ENTRY = /^(?:([a-z0-9][a-z0-9._-]*)?@([0-9]+)|([a-z0-9][a-z0-9._-]*))(?::([0-9]+(?:\.[0-9]+)?))?$/;

/**
 * Parses "id", "id@version", or a split such as "id@1:90,@2:10". In a split, an entry without an id has that of the
 * entry before it. Throws SplitError.
 */
export function parseSplit(text: string): TrafficShare[] {
  const shares: TrafficShare[] = [];
  let last: string | undefined;
  for (const entry of text.split(',')) {
    const [, idOfVersion, version, idAlone, weight] = entry.trim().match(ENTRY) ?? [];
    const id: string | undefined = idAlone ?? idOfVersion ?? last;
    if (!id || (version === undefined && idAlone === undefined)) throw new SplitError(EXPECTED);
    shares.push({ reference: version ? `${id}@${version}` : id, weight: weight ? Number(weight) : 1 });
    if (text.includes(',') && !(version && weight)) throw new SplitError(EXPECTED);
    last = id;
  }
  if (new Set(shares.map(({ reference }) => reference)).size < shares.length)
    throw new SplitError('must not name a version twice');
  if (shares.every(({ weight }) => weight === 0))
    throw new SplitError('must give at least one version a weight above 0');
  return shares;
}

const EXPECTED = 'must be like celeba-inpaint-64, celeba-inpaint-64@1 or celeba-inpaint-64@1:90,@2:10';

/**
 * The share that serves requests with this seed. The same seed and weights always give the same share, and over all
 * seeds each share is chosen in proportion to its weight. A change of weights
 * moves the borders between the shares; seeds that are not between an old and a new border keep their share.
 *
 * @param shares at least one
 * @param seed 0..2^32-1
 */
export function pickShare<Share extends { weight: number }>(shares: readonly Share[], seed: number): Share {
  const total = shares.reduce((sum, { weight }) => sum + weight, 0);
  let remaining = (hash32(seed) / 2 ** 32) * total;
  for (const share of shares) {
    remaining -= share.weight;
    if (remaining < 0) return share;
  }
  return shares[shares.length - 1];
}

/** The finalizer of MurmurHash3: a permutation of 0..2^32-1 in which every input bit affects every output bit. */
function hash32(seed: number): number {
  let h = seed >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
