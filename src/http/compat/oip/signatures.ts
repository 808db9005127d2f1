import type { ServedModel } from '../../../registry/served-model.ts';
import type { Signature } from './message.ts';
import type { TensorSpec } from './tensors.ts';

/** Pictures as numbers [N, H, W, C], from 0 to 1 or from 0 to 255, or as N files. */
const pictures = (name: string, channels: number): TensorSpec => {
  const numbers = [-1, -1, -1, channels];
  return { name, shapes: { FP32: numbers, UINT8: numbers, BYTES: [-1] } };
};

/** The whole task. The pictures that come back have the datatype of `image`. */
export const FILL: Signature = {
  inputs: [pictures('image', 3), pictures('mask', 1)],
  outputs: [pictures('images', 3), { name: 'seed', shapes: { INT64: [1] } }],
};

/** The network of a model: x_t [N, C, R, R] and t [N], to its prediction [N, C', R, R]. */
export function networkSignature({ card }: ServedModel): Signature {
  const { resolution: side, in_channels, out_channels } = card;
  return {
    inputs: [
      { name: 'x', shapes: { FP32: [-1, in_channels, side, side] } },
      { name: 't', shapes: { FP32: [-1], INT64: [-1] } },
    ],
    outputs: [{ name: 'prediction', shapes: { FP32: [-1, out_channels, side, side] } }],
  };
}

/** Tensors as metadata lists them. */
export const describe = (specs: readonly TensorSpec[]) =>
  specs.map(({ name, shapes }) => {
    const [[datatype, shape]] = Object.entries(shapes);
    return { name, datatype, shape };
  });
