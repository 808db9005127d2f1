import { expect, test } from 'vitest';
import type { InpaintRequest, SampleRequest } from '../../src/generation/request.ts';
import { resolve } from '../../src/generation/resolve.ts';
import type { ModelRegistry } from '../../src/registry/registry.ts';
import { FakeRegistry } from '../http/fake-app.ts';

const common = { seed: 1, num_images: 1, priority: 'normal', preview_every: 0 } as const;
const sample: SampleRequest = { task: 'sample', ...common };
const inpaint: InpaintRequest = {
  ...common,
  task: 'inpaint',
  image: Buffer.alloc(0),
  strategy: 'auto',
  metadata: 'strip',
  mask_grow: 0,
  mask_blur: 0,
};

/** A registry whose model has this conditioning, and ddim as its default sampler. */
function registryWith(conditioning: 'inpaint' | 'none'): ModelRegistry {
  const model = new FakeRegistry().get();
  return { get: () => ({ ...model, card: { ...model.card, conditioning } }) } as unknown as ModelRegistry;
}

test.each([
  ['inpaint', inpaint, 'ddim'],
  ['none', inpaint, 'ddpm'],
  ['none', sample, 'ddim'],
  ['none', { ...inpaint, sampler: 'dpmpp_2m' as const }, 'dpmpp_2m'],
] as const)('conditioning %s: RePaint alone prefers ddpm to the sampler of the card', (conditioning, request, sampler) => {
  expect(resolve(registryWith(conditioning), request).parameters.sampler).toBe(sampler);
});
