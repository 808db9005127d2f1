import * as tf from '@tensorflow/tfjs-core';
import type { Architecture } from '../network.ts';
import {
  convolution,
  doubled,
  downsampling,
  type Features,
  groupNormalisation,
  linear,
  silu,
  upsampling,
} from './layers.ts';
import type { Parameters } from './parameters.ts';

type Block = (x: Features, emb: tf.Tensor2D) => Features;

/** x [N, C, R, R] and t [N], timesteps in 0..T-1 -> prediction [N, C_out, R, R] */
export type UNet = (x: tf.Tensor4D, t: tf.Tensor1D) => tf.Tensor4D;

/**
 * The U-Net of training/unet.py (Dhariwal & Nichol 2021): an encoder whose levels halve the size, a middle, and a decoder
 * that takes the encoder's features through skip connections.
 *
 * The names of the parameters tell which layers exist. Throws EngineError when a parameter is missing.
 */
export function unet(p: Parameters, { patch, head_dim, heads, groups }: Architecture): UNet {
  const attentionOf = (p: Parameters) => attention(p, groups, (c) => heads ?? c / head_dim);
  const block = (p: Parameters): Block => {
    const residual = residualBlock(p.at('block'), groups);
    if (!p.has('attention.qkv.weight')) return residual;
    const attend = attentionOf(p.at('attention'));
    return (x, emb) => attend(residual(x, emb));
  };
  const between = (p: Parameters, direction: 'down' | 'up'): Block | undefined => {
    if (p.has('resample.conv1.weight')) return residualBlock(p.at('resample'), groups, RESIZE[direction]);
    if (p.has('conv.weight')) return (direction === 'down' ? downsampling : upsampling)(p.at('conv'));
    return undefined;
  };

  const time1 = linear(p.at('time1'));
  const time2 = linear(p.at('time2'));
  const stem = convolution(p.at('stem'));
  const down = p.list('down').map((p) => between(p, 'down') ?? block(p));
  const mid1 = residualBlock(p.at('mid1'), groups);
  const midAttention = attentionOf(p.at('mid_attention'));
  const mid2 = residualBlock(p.at('mid2'), groups);
  const up = p.list('up').map((p) => between(p, 'up') ?? withSkip(block(p)));
  const normalise = groupNormalisation(p.at('norm'), groups);
  const head = convolution(p.at('head'));
  const width = p.get<tf.Rank.R2>('time1.weight').shape[0];

  return (x, t) => {
    const emb = silu(time2(silu(time1(timestepEmbedding(t, width)))));
    let h = stem(toPatches(x, patch));
    const skips = [h];
    for (const layer of down) {
      h = layer(h, emb);
      skips.push(h);
    }
    h = mid2(midAttention(mid1(h, emb)), emb);
    for (const layer of up) h = layer(h, emb, skips);
    return fromPatches(head(silu(normalise(h))), patch);
  };
}

const RESIZE = {
  down: (x: Features): Features => tf.avgPool(x, 2, 2, 'valid'),
  up: doubled,
} as const;

/** A decoder block: its input is concatenated with the encoder's last unused features, which it removes from `skips`. */
function withSkip(block: Block) {
  return (x: Features, emb: tf.Tensor2D, skips: Features[]) =>
    block(tf.concat([x, ...skips.splice(-1)], 3), emb);
}

/**
 * x + conv2(SiLU(norm2(conv1(SiLU(norm1(x))), emb))), where norm2 is modulated by the timestep embedding. The skip path is
 * a 1 x 1 convolution where the number of channels changes: [N, H, W, C] -> [N, H, W, C_out].
 *
 * `resize` halves or doubles the size of x, and of the features before conv1 (BigGAN, Brock et al. 2019). Where the layer of the
 * embedding has C_out outputs only, it is added before norm2 in place of the modulation (Ho et al. 2020).
 */
function residualBlock(p: Parameters, groups: number, resize = (x: Features) => x): Block {
  const norm1 = groupNormalisation(p.at('norm1'), groups);
  const conv1 = convolution(p.at('conv1'));
  const modulate = linear(p.at('emb'));
  const norm2 = groupNormalisation(p.at('norm2'), groups);
  const conv2 = convolution(p.at('conv2'));
  const skip = p.has('skip.weight') ? convolution(p.at('skip')) : (x: Features) => x;
  const isAdaptive = p.get('emb.bias').size === 2 * p.get('conv1.bias').size;
  return (x, emb) =>
    tf.tidy(() => {
      const given = modulate(emb);
      const h = conv1(resize(silu(norm1(x))));
      if (!isAdaptive) {
        const added = tf.add<Features>(h, tf.reshape(given, [-1, 1, 1, given.shape[1]]));
        return tf.add(skip(resize(x)), conv2(silu(norm2(added))));
      }
      const [scale, shift] = tf.split<tf.Tensor2D>(given, 2, 1);
      return tf.add(skip(resize(x)), conv2(silu(norm2(h, { scale, shift }))));
    });
}

/**
 * x + projection of multi-head self-attention over all positions, softmax(q k^T / sqrt(d)) v (Vaswani et al. 2017):
 * [N, H, W, C] -> [N, H, W, C].
 */
function attention(p: Parameters, groups: number, headsOf: (channels: number) => number) {
  const normalise = groupNormalisation(p.at('norm'), groups);
  const qkv = convolution(p.at('qkv'));
  const project = convolution(p.at('proj'));
  return (x: Features): Features =>
    tf.tidy(() => {
      const [n, h, w, c] = x.shape;
      const heads = headsOf(c);
      const headDim = c / heads;
      const [q, k, v] = tf
        .split(qkv(normalise(x)), 3, 3)
        .map((part) => tf.transpose(tf.reshape(part, [n, h * w, heads, headDim]), [0, 2, 1, 3]));
      const weights = tf.softmax(tf.mul(tf.matMul(q, k, false, true), headDim ** -0.5)); // [N, heads, HW, HW]
      const attended = tf.transpose(tf.matMul(weights, v), [0, 2, 1, 3]); // [N, HW, heads, d]
      return tf.add(x, project(tf.reshape(attended, [n, h, w, c])));
    });
}

/** Cosines, then sines, of t at geometric frequencies from 1 to 1/10000 (Vaswani et al. 2017): [N] -> [N, width]. */
function timestepEmbedding(t: tf.Tensor1D, width: number): tf.Tensor2D {
  const half = width / 2;
  const frequencies = Array.from({ length: half }, (_, i) => 10_000 ** (-i / half));
  const angles = tf.mul<tf.Tensor2D>(tf.expandDims(t, 1), [frequencies]);
  return tf.concat([tf.cos(angles), tf.sin(angles)], 1);
}

/** Folds p x p pixels of each channel into the depth: [N, C, H, W] -> [N, H/p, W/p, C p p]. */
function toPatches(x: tf.Tensor4D, p: number): Features {
  const [n, c, h, w] = x.shape;
  const split = tf.reshape(x, [n, c, h / p, p, w / p, p]);
  return tf.reshape(tf.transpose(split, [0, 2, 4, 1, 3, 5]), [n, h / p, w / p, c * p * p]);
}

/** The inverse of toPatches: [N, H/p, W/p, C p p] -> [N, C, H, W]. */
function fromPatches(x: Features, p: number): tf.Tensor4D {
  const [n, h, w, depth] = x.shape;
  const c = depth / (p * p);
  const split = tf.reshape(x, [n, h, w, c, p, p]);
  return tf.reshape(tf.transpose(split, [0, 3, 1, 4, 2, 5]), [n, c, h * p, w * p]);
}
