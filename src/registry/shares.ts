import { pickShare } from '../model/traffic-split.ts';
import type { ModelVersion } from './model-version.ts';
import type { ServedModel } from './served-model.ts';

/** A version that serves requests without a model, and its weight among those that do. */
export interface Share {
  model: ModelVersion;
  /** 0 or more, relative to the sum of all weights. */
  weight: number;
}

/**
 * The version that serves a request. With a seed, the seed decides, always in the same way; versions that are not
 * healthy are skipped as long as another one is healthy. Without a seed, it is the version with the largest weight.
 *
 * @param shares at least one
 * @param seed 0..2^32-1
 */
export function pickModel(shares: Share[], seed: number | undefined): ModelVersion {
  if (seed === undefined) return shares.reduce((a, b) => (b.weight > a.weight ? b : a)).model;
  const { model } = pickShare(shares, seed);
  const healthy = shares.filter((share) => share.model.isHealthy);
  return model.isHealthy || healthy.length === 0 ? model : pickShare(healthy, seed).model;
}

/** The fraction of requests without a model that goes to `model`, 0..1. */
export function fractionOf(shares: Share[], model: ServedModel): number {
  const total = shares.reduce((sum, { weight }) => sum + weight, 0);
  return (shares.find((share) => share.model === model)?.weight ?? 0) / total;
}

/** The shares in the notation of DEFAULT_MODEL, for the log: `id@1`, or `id@1:90,id@2:10`. */
export function describeShares(shares: Share[]): string {
  if (shares.length === 1) return shares[0].model.ref;
  return shares.map(({ model, weight }) => `${model.ref}:${weight}`).join(',');
}
