import * as tf from '@tensorflow/tfjs-core';
import type { Parameters } from './parameters.ts';

/** Features, [N, H, W, C]: the layout in which all TensorFlow.js backends are fast. */
export type Features = tf.Tensor4D;

/** SiLU(x) = x sigmoid(x), the only activation of the network. */
export const silu = <T extends tf.Tensor>(x: T): T => tf.mul(x, tf.sigmoid(x));

/** A fully connected layer, [N, in] -> [N, out]. */
export function linear(p: Parameters) {
  const [b, bias] = [p.get<tf.Rank.R2>('weight'), p.get('bias')];
  return (a: tf.Tensor2D) => tf.fused.matMul({ a, b, bias }) as tf.Tensor2D;
}

/** A convolution (3 x 3 or 1 x 1, as the weights say) with stride 1 and zero padding: [N, H, W, C] -> [N, H, W, C_out]. */
export function convolution(p: Parameters) {
  const [filter, bias] = [p.get<tf.Rank.R4>('weight'), p.get('bias')];
  return (x: Features): Features => tf.fused.conv2d({ x, filter, bias, strides: 1, pad: 'same' });
}

/** A 3 x 3 convolution with stride 2: [N, H, W, C] -> [N, H/2, W/2, C_out]. */
export function downsampling(p: Parameters) {
  const [filter, bias] = [p.get<tf.Rank.R4>('weight'), p.get('bias')];
  return (x: Features): Features => {
    // PyTorch pads before the first pixel. TensorFlow's 'same' would pad after the last one and shift the output.
    const padded = tf.pad(x, [
      [0, 0],
      [1, 0],
      [1, 0],
      [0, 0],
    ]);
    return tf.fused.conv2d({ x: padded as Features, filter, bias, strides: 2, pad: 'valid' });
  };
}

/** Nearest-neighbour upsampling: [N, H, W, C] -> [N, 2H, 2W, C]. */
export const doubled = (x: Features): Features =>
  tf.image.resizeNearestNeighbor(x, [2 * x.shape[1], 2 * x.shape[2]]);

/** Nearest-neighbour upsampling, then a 3 x 3 convolution: [N, H, W, C] -> [N, 2H, 2W, C_out]. */
export function upsampling(p: Parameters) {
  const convolve = convolution(p);
  return (x: Features): Features => convolve(doubled(x));
}

/** How the timestep modulates a normalisation; both [N, C]. */
export interface Modulation {
  scale: tf.Tensor2D;
  shift: tf.Tensor2D;
}

const EPSILON = 1e-5;

/**
 * Group normalisation (Wu & He 2018), y = gamma (x - mu) / sigma + beta with mean mu and standard deviation sigma of each
 * row's group of channels: [N, H, W, C] -> [N, H, W, C]. With a modulation it is adaptive (Dhariwal & Nichol 2021,
 * section 3): (1 + scale) y + shift.
 *
 * Where mu is large beside sigma, E[x^2] - mu^2 has no correct digit in float32, and mu itself is too inexact for x - mu. So
 * each group is shifted first, by its mean in one pixel (Chan et al. 1983), which differs from mu by at most sigma sqrt(HW).
 * With c = x - shift, all of this is y = a c + b with one a and one b per row and channel.
 */
export function groupNormalisation(p: Parameters, groups: number) {
  const grouped = [-1, groups, p.get('weight').size / groups];
  const [gamma, beta] = [tf.reshape(p.get('weight'), grouped), tf.reshape(p.get('bias'), grouped)];
  return (x: Features, modulation?: Modulation): Features => {
    const [n, , , c] = x.shape;
    const moment = (values: Features) => tf.mean(tf.reshape(tf.mean(values, [1, 2]), grouped), 2, true); // [N, groups, 1]
    const ofChannels = (values: tf.Tensor) => tf.reshape(values, [n, 1, 1, c]);
    const shift = tf.tile(moment(tf.slice(x, 0, [n, 1, 1, c])), [1, 1, c / groups]); // [N, groups, C / groups]
    const shifted = tf.sub<Features>(x, ofChannels(shift));
    const mean = moment(shifted);
    const variance = tf.sub(moment(tf.square(shifted)), tf.square(mean));
    let a = tf.mul(gamma, tf.rsqrt(tf.add(variance, EPSILON)));
    let b = tf.sub(beta, tf.mul(mean, a));
    if (modulation) {
      const scale = tf.add(tf.reshape(modulation.scale, grouped), 1);
      a = tf.mul(a, scale);
      b = tf.add(tf.mul(b, scale), tf.reshape(modulation.shift, grouped));
    }
    return tf.add(tf.mul(shifted, ofChannels(a)), ofChannels(b));
  };
}
