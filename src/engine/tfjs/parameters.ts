import * as tf from '@tensorflow/tfjs-core';
import { EngineError } from '../engine.ts';
import type { Parameter } from './safetensors.ts';

/** The network's parameters by their PyTorch names, relative to one of its modules. */
export class Parameters {
  readonly #tensors: ReadonlyMap<string, tf.Tensor>;
  readonly #path: string;

  /** Copies them to the backend, from PyTorch's [out, in] and [out, in, h, w] to TensorFlow's [in, out] and [h, w, in, out]. */
  static load(parameters: ReadonlyMap<string, Parameter>): Parameters {
    const tensors = new Map<string, tf.Tensor>();
    for (const [name, { shape, data }] of parameters) {
      tensors.set(
        name,
        tf.tidy(() => transposed(tf.tensor(data, shape, 'float32'))),
      );
    }
    return new Parameters(tensors);
  }

  private constructor(tensors: ReadonlyMap<string, tf.Tensor>, path = '') {
    this.#tensors = tensors;
    this.#path = path;
  }

  has(name: string): boolean {
    return this.#tensors.has(this.#path + name);
  }

  /** Throws EngineError when the file has no parameter of that name. */
  get<R extends tf.Rank>(name: string): tf.Tensor<R> {
    const tensor = this.#tensors.get(this.#path + name);
    if (!tensor) throw new EngineError(`the weights lack ${this.#path}${name}: export the model again`);
    return tensor as tf.Tensor<R>;
  }

  /** The parameters of a submodule. */
  at(module: string): Parameters {
    return new Parameters(this.#tensors, `${this.#path}${module}.`);
  }

  /** The parameters of each module in a list, in order: `down.0`, `down.1`, … */
  list(module: string): Parameters[] {
    const prefix = `${this.#path}${module}.`;
    const members = new Set<number>();
    for (const name of this.#tensors.keys()) {
      if (name.startsWith(prefix)) members.add(Number.parseInt(name.slice(prefix.length), 10));
    }
    return [...members].sort((a, b) => a - b).map((member) => this.at(`${module}.${member}`));
  }
}

const AXES: Partial<Record<number, number[]>> = { 2: [1, 0], 4: [2, 3, 1, 0] };

/** Transposed once at load: in tfjs 4.22 the WASM backend's matMul with a transposed matrix and a bias is wrong. */
function transposed(tensor: tf.Tensor): tf.Tensor {
  const axes = AXES[tensor.rank];
  return axes ? tf.transpose(tensor, axes) : tensor;
}
