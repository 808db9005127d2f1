import os from 'node:os';
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { type Batch, DeviceError, EngineError } from './engine.ts';
import { gpuInUse } from './gpu.ts';
import type { Network, NetworkSpec } from './network.ts';
import { explainProviderError, type GpuDevice, PROVIDERS } from './onnx-providers.ts';

/** Loads the network in onnxruntime. Rejects with EngineError when the file or the device cannot be used. */
export function loadOnnx(spec: NetworkSpec): Promise<Network> {
  return spec.device === 'cpu' ? loadOnCpu(spec) : loadOnGpu(spec, spec.device);
}

/**
 * Two sessions: a single-threaded one, which is best while every core has a busy worker of its own, and one of all
 * threads for exclusive evaluations. Both give the same bits.
 */
async function loadOnCpu(spec: NetworkSpec): Promise<Network> {
  const single = await createSession(spec, ['cpu'], 1).catch(({ message }: Error) => {
    throw new EngineError(`${modelFile(spec)} cannot be loaded (${message.trim()}): export the model again`);
  });
  checkContract(single, spec);
  const parallel = spec.threads > 1 ? await createSession(spec, ['cpu'], spec.threads) : single;
  return {
    deviceName: os.cpus()[0]?.model.trim() ?? 'unknown CPU',
    precision: 'fp32',
    evaluate: (batch, exclusive) => run(exclusive ? parallel : single, batch, spec),
  };
}

/**
 * One session, exclusive or not. It is not used again after a failure: it would go on failing, or return wrong numbers.
 * The WebGPU provider only logs that memory ran out and then computes with buffers that were never written, so a
 * prediction that is zero everywhere counts as a failure.
 */
async function loadOnGpu(spec: NetworkSpec, device: GpuDevice): Promise<Network> {
  const session = await createSession(spec, PROVIDERS[device], 1).catch((error: Error) => {
    throw new EngineError(explainProviderError(device, error.message), { cause: error });
  });
  checkContract(session, spec);
  const { name, software, memoryBytes } = gpuInUse(device);
  if (spec.hardwareOnly && software) {
    throw new EngineError(`${name} is the only GPU, and it computes on the CPU; DEVICE=webgpu would use it`);
  }
  return {
    deviceName: name,
    deviceMemoryBytes: memoryBytes,
    software,
    precision: 'fp32',
    async evaluate(batch) {
      const prediction = await run(session, batch, spec);
      if (prediction.every((value) => value === 0))
        throw new DeviceError('the prediction is zero everywhere');
      return prediction;
    },
  };
}

const modelFile = ({ folder }: NetworkSpec) => path.join(folder, 'unet.onnx');

/** Throws EngineError unless the network's inputs and output have the names and shapes that model.json gives. */
function checkContract(session: InferenceSession, spec: NetworkSpec) {
  const { inChannels, outChannels, resolution: r } = spec;
  const expected: Record<string, Shape> = {
    x: ['N', inChannels, r, r],
    t: ['N'],
    prediction: ['N', outChannels, r, r],
  };
  const found = [...session.inputMetadata, ...session.outputMetadata];
  const fits = found.every((value) => value.isTensor && shapeFits(value.shape, expected[value.name]));
  if (fits && session.inputNames.length === 2 && session.outputNames.length === 1) return;
  const list = (shapes: [string, Shape][]) => shapes.map(([name, shape]) => `${name} [${shape}]`).join(', ');
  throw new EngineError(
    `${modelFile(spec)} has ${list(found.map((value) => [value.name, value.isTensor ? value.shape : []]))}, ` +
      `but model.json requires ${list(Object.entries(expected))}: export the model again`,
  );
}

type Shape = readonly (number | string)[];

/** A dimension that the file leaves open (a name) fits any size; the batch dimension has to be open. */
function shapeFits(shape: Shape, expected: Shape | undefined): boolean {
  const fits = (size: number | string, i: number) => typeof size === 'string' || size === expected?.[i];
  return shape.length === expected?.length && shape.every(fits);
}

function createSession(
  spec: NetworkSpec,
  executionProviders: InferenceSession.SessionOptions['executionProviders'],
  threads: number,
): Promise<InferenceSession> {
  return InferenceSession.create(modelFile(spec), {
    executionProviders,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    // A thread that spins while it waits would take CPU time from the other workers.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}

/** Resolves to the prediction, [N, C_out, R, R]. Rejects with DeviceError, or with what toTensors throws. */
async function run(session: InferenceSession, batch: Batch, spec: NetworkSpec): Promise<Float32Array> {
  const inputs = toTensors(batch, spec);
  try {
    const { prediction } = await session.run(inputs);
    return prediction.data as Float32Array;
  } catch (error) {
    // The shapes are right, so what failed is memory or the device.
    throw new DeviceError((error as Error).message.trim(), { cause: error });
  }
}

/** The network's inputs: x [N, C, R, R] and t [N]. Throws when an array's length does not match its shape. */
function toTensors({ rows, x, t }: Batch, { inChannels, resolution }: NetworkSpec) {
  return {
    x: new Tensor('float32', x, [rows, inChannels, resolution, resolution]),
    t: new Tensor('float32', t, [rows]),
  };
}
