import os from 'node:os';
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { type Batch, DeviceError, EngineError } from './engine.ts';
import { gpuInUse } from './gpu.ts';
import type { Network, NetworkSpec } from './network.ts';
import { PROVIDERS, whyNot } from './onnx-providers.ts';

/** The network in onnxruntime. Rejects with EngineError, a sentence, when the device cannot be used. */
export function loadOnnx(spec: NetworkSpec): Promise<Network> {
  return spec.device === 'cpu' ? onCpu(spec) : onGpu(spec, spec.device);
}

/**
 * Two sessions share the work: one of a single thread, best when every core has a worker of its own, and one of
 * all threads for an evaluation that is alone. onnxruntime's result is the same bit for bit whichever is used.
 */
async function onCpu(spec: NetworkSpec): Promise<Network> {
  const one = await createSession(spec, ['cpu'], 1).catch(({ message }: Error) => {
    throw new EngineError(`${fileOf(spec)} cannot be loaded (${message.trim()}): export the model again`);
  });
  checkContract(one, spec);
  const all = spec.threads > 1 ? await createSession(spec, ['cpu'], spec.threads) : one;
  return {
    deviceName: os.cpus()[0]?.model.trim() ?? 'unknown CPU',
    precision: 'fp32',
    evaluate: (batch, alone) => run(alone ? all : one, batch, spec),
  };
}

/**
 * One session: a GPU is one, whoever asks. A session that has failed once is not asked again. It would keep failing,
 * or worse: the WebGPU provider only logs that memory ran out, and goes on with buffers that nobody has written.
 */
async function onGpu(spec: NetworkSpec, device: keyof typeof PROVIDERS): Promise<Network> {
  const session = await createSession(spec, PROVIDERS[device], 1).catch((error: Error) => {
    throw new EngineError(whyNot(device, error.message), { cause: error });
  });
  checkContract(session, spec);
  const gpu = gpuInUse(device);
  if (spec.hardware && gpu.software) {
    throw new EngineError(
      `there is only ${gpu.name}, which computes on the CPU; DEVICE=webgpu would take it`,
    );
  }
  return {
    deviceName: gpu.name,
    deviceMemoryBytes: gpu.memoryBytes,
    precision: 'fp32',
    async evaluate(batch) {
      const prediction = await run(session, batch, spec);
      if (prediction.every((value) => value === 0)) throw new DeviceError('it wrote no prediction');
      return prediction;
    },
  };
}

const fileOf = ({ folder }: NetworkSpec) => path.join(folder, 'unet.onnx');

/** Throws EngineError unless the network takes and gives what model.json says. */
function checkContract(session: InferenceSession, spec: NetworkSpec) {
  const { inChannels, outChannels, resolution: r } = spec;
  const wanted: Record<string, Shape> = {
    x: ['N', inChannels, r, r],
    t: ['N'],
    prediction: ['N', outChannels, r, r],
  };
  const found = [...session.inputMetadata, ...session.outputMetadata];
  const fits = found.every((value) => value.isTensor && isOfShape(value.shape, wanted[value.name]));
  if (fits && session.inputNames.length === 2 && session.outputNames.length === 1) return;
  const list = (shapes: [string, Shape][]) => shapes.map(([name, shape]) => `${name} [${shape}]`).join(', ');
  throw new EngineError(
    `${fileOf(spec)} has ${list(found.map((value) => [value.name, value.isTensor ? value.shape : []]))}; ` +
      `as model.json says, it has to have ${list(Object.entries(wanted))}: export the model again`,
  );
}

type Shape = readonly (number | string)[];

/** Dimensions that the file leaves open fit; the batch has to be one. */
function isOfShape(shape: Shape, wanted: Shape | undefined): boolean {
  const fits = (size: number | string, i: number) => typeof size === 'string' || size === wanted?.[i];
  return shape.length === wanted?.length && shape.every(fits);
}

function createSession(
  spec: NetworkSpec,
  executionProviders: InferenceSession.SessionOptions['executionProviders'],
  threads: number,
): Promise<InferenceSession> {
  return InferenceSession.create(fileOf(spec), {
    executionProviders,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    // A thread that spins while it waits would take a core from the other workers.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}

async function run(session: InferenceSession, batch: Batch, spec: NetworkSpec): Promise<Float32Array> {
  const inputs = feeds(batch, spec);
  try {
    const { prediction } = await session.run(inputs);
    return prediction.data as Float32Array;
  } catch (error) {
    // The rows had the right size: what is left is memory or the device.
    throw new DeviceError((error as Error).message.trim(), { cause: error });
  }
}

function feeds({ rows, x, t }: Batch, { inChannels, resolution }: NetworkSpec) {
  return {
    x: new Tensor('float32', x, [rows, inChannels, resolution, resolution]),
    t: new Tensor('float32', t, [rows]),
  };
}
