import * as tf from '@tensorflow/tfjs-core';
import type { Parameters } from './parameters.ts';

/** Features [N, H, W, C]: TensorFlow's layout, the one that all its backends are fast in. */
export type Features = tf.Tensor4D;

/** x · sigmoid(x), the activation of the whole network. */
export const silu = <T extends tf.Tensor>(x: T): T => tf.mul(x, tf.sigmoid(x));

/** [N, in] -> [N, out] */
export function linear(p: Parameters) {
  const [b, bias] = [p.get<tf.Rank.R2>('weight'), p.get('bias')];
  return (a: tf.Tensor2D) => tf.fused.matMul({ a, b, bias }) as tf.Tensor2D;
}

/** Of the filter's size, 3 x 3 or 1 x 1; the picture keeps its own. */
export function convolution(p: Parameters) {
  const [filter, bias] = [p.get<tf.Rank.R4>('weight'), p.get('bias')];
  return (x: Features): Features => tf.fused.conv2d({ x, filter, bias, strides: 1, pad: 'same' });
}

/** To half the size: 3 x 3 at stride 2. */
export function downsampling(p: Parameters) {
  const [filter, bias] = [p.get<tf.Rank.R4>('weight'), p.get('bias')];
  return (x: Features): Features => {
    // PyTorch pads before the first pixel; TensorFlow's 'same' would pad after the last, half a pixel aside.
    const padded = tf.pad(x, [
      [0, 0],
      [1, 0],
      [1, 0],
      [0, 0],
    ]);
    return tf.fused.conv2d({ x: padded as Features, filter, bias, strides: 2, pad: 'valid' });
  };
}

/** To twice the size: every pixel becomes four, then 3 x 3. */
export function upsampling(p: Parameters) {
  const convolve = convolution(p);
  return (x: Features): Features =>
    convolve(tf.image.resizeNearestNeighbor(x, [2 * x.shape[1], 2 * x.shape[2]]));
}

/** How a timestep changes a normalisation: both [N, C]. */
export interface Modulation {
  scale: tf.Tensor2D;
  shift: tf.Tensor2D;
}

const EPSILON = 1e-5;

/**
 * Group normalisation (Wu & He 2018), y = γ (x - μ) / σ + β with μ and σ of a row's group of channels; adaptive
 * (Dhariwal & Nichol 2021, section 3) where a modulation is given: (1 + scale) y + shift.
 *
 * All of it is y = a x + b with a number for each row and channel, so what is as large as the picture is two
 * moments, one product and one sum.
 */
export function groupNormalisation(p: Parameters, groups: number) {
  const grouped = [-1, groups, p.get('weight').size / groups];
  const [gamma, beta] = [tf.reshape(p.get('weight'), grouped), tf.reshape(p.get('bias'), grouped)];
  return (x: Features, modulation?: Modulation): Features => {
    const [n, , , c] = x.shape;
    const moment = (values: Features) => tf.mean(tf.reshape(tf.mean(values, [1, 2]), grouped), 2, true); // [N, groups, 1]
    const mean = moment(x);
    const variance = tf.sub(moment(tf.square(x)), tf.square(mean));
    let a = tf.mul(gamma, tf.rsqrt(tf.add(variance, EPSILON))); // [N, groups, C / groups]
    let b = tf.sub(beta, tf.mul(mean, a));
    if (modulation) {
      const scale = tf.add(tf.reshape(modulation.scale, grouped), 1);
      a = tf.mul(a, scale);
      b = tf.add(tf.mul(b, scale), tf.reshape(modulation.shift, grouped));
    }
    return tf.add(tf.mul(x, tf.reshape(a, [n, 1, 1, c])), tf.reshape(b, [n, 1, 1, c]));
  };
}
