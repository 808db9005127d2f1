import {
  type Batch,
  type DeviceName,
  EngineError,
  type EngineName,
  type NetworkName,
  type Precision,
} from './engine.ts';

/** A library that evaluates networks, and the device it uses. */
export interface Runtime {
  engine: EngineName;
  device: DeviceName;
  /** The npm package. */
  library: string;
  /** Refuse a GPU driver that computes on the CPU, such as SwiftShader or llvmpipe. */
  hardwareOnly?: boolean;
}

/** What the U-Net's weights do not tell about its architecture. */
export interface Architecture {
  /** The network folds patch x patch pixels into one spatial position. */
  patch: number;
  /** Channels of one attention head. */
  head_dim: number;
  /** Attention heads, in place of head_dim channels for each. */
  heads?: number;
  /** Groups of each group normalisation. */
  groups: number;
}

/** One network of a model version. */
export interface NetworkShape {
  /** Name of its ONNX file in the version's folder. */
  file: string;
  /** Size of that file, with the weights that are stored beside it; small when absent. */
  bytes?: number;
  inChannels: number;
  outChannels: number;
  /** R: the network's pictures are R x R. */
  resolution: number;
  /** Its int8 variant for timesteps from `fromTimestep` on, where it is to be used: on a CPU, by onnxruntime alone. */
  int8?: { file: string; fromTimestep: number };
  /** For engines that build the network from its weights; the others read it from `file`. */
  architecture?: Architecture;
}

/** Everything a worker needs to load a version's networks: plain data that is sent over IPC. */
export interface NetworkSpec extends Runtime {
  /** Absolute path of the model version's folder. */
  folder: string;
  networks: { base: NetworkShape; refiner?: NetworkShape };
  /** Threads of an exclusive evaluation (CPU). */
  threads: number;
  /** Most rows of an evaluation; chosen at warm-up when absent. */
  maxBatch?: number;
}

/** Networks loaded in a worker process. */
export interface Networks {
  /** Those that it evaluates, the base first. */
  networks: NetworkName[];
  deviceName: string;
  /** Bytes, where it is known. */
  deviceMemoryBytes?: number;
  /** It computes on the CPU whatever the device is called: a GPU driver in software. */
  software?: boolean;
  precision: Precision;
  /**
   * Resolves to the prediction, [N, C_out, R, R]. An exclusive evaluation may use all threads; the bits are the same.
   * Rejects with DeviceError when the networks are unusable from now on, with another error when only this batch failed.
   */
  evaluate(batch: Batch, exclusive: boolean): Promise<Float32Array>;
}

/** The shape of the network that evaluates a batch. Throws EngineError when the version has no such network. */
export function shapeOf({ networks }: NetworkSpec, name: NetworkName): NetworkShape {
  const shape = networks[name];
  if (!shape) throw new EngineError(`this model version has no network named ${name}`);
  return shape;
}

/** The length of one row of a network's input, in numbers. */
export const inputLength = ({ inChannels, resolution }: NetworkShape) => inChannels * resolution ** 2;

/** The length of one row of a network's prediction, in numbers. */
export const outputLength = ({ outChannels, resolution }: NetworkShape) => outChannels * resolution ** 2;
