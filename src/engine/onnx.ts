import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { cpuName } from '../machine.ts';
import { type Batch, DeviceError, EngineError, NETWORK_NAMES, type NetworkName } from './engine.ts';
import { assertComputed } from './finite.ts';
import { gpuInUse } from './gpu.ts';
import { isLarge } from './large.ts';
import { byTimestep } from './mixed-precision.ts';
import type { NetworkShape, NetworkSpec, Networks } from './network.ts';
import { explainProviderError, type GpuDevice, PROVIDERS } from './onnx-providers.ts';

/** Loads a version's networks in onnxruntime. Rejects with EngineError when a file or the device cannot be used. */
export function loadOnnx(spec: NetworkSpec): Promise<Networks> {
  return spec.device === 'cpu' ? loadOnCpu(spec) : loadOnGpu(spec, spec.device);
}

/**
 * Two sessions for each network file: a single-threaded one, which is best while every core has a busy worker of its own, and
 * one of all threads for exclusive evaluations. Both give the same bits. A large network has the latter alone.
 */
async function loadOnCpu(spec: NetworkSpec): Promise<Networks> {
  return {
    deviceName: cpuName(),
    precision: spec.networks.base.int8 ? 'int8' : 'fp32',
    ...(await loadEach(spec, async (shape) => {
      const below = await loadFileOnCpu(spec, shape, shape.file);
      const { int8 } = shape;
      if (!int8) return below;
      const above = await loadFileOnCpu(spec, shape, int8.file);
      return (batch, exclusive) =>
        byTimestep(
          batch,
          int8.fromTimestep,
          { above: (rows) => above(rows, exclusive), below: (rows) => below(rows, exclusive) },
          shape,
        );
    })),
  };
}

async function loadFileOnCpu(
  spec: NetworkSpec,
  shape: NetworkShape,
  name: string,
): Promise<Networks['evaluate']> {
  const large = isLarge(spec);
  const file = path.join(spec.folder, name);
  const options = { threads: large ? spec.threads : 1, keepMemory: !large };
  const session = await createSession(file, ['cpu'], options).catch(({ message }: Error) => {
    throw new EngineError(`${file} cannot be loaded (${message.trim()}): export the model again`);
  });
  checkContract(session, file, shape);
  const parallel =
    spec.threads > options.threads
      ? await createSession(file, ['cpu'], { ...options, threads: spec.threads })
      : session;
  return (batch, exclusive) => run(exclusive ? parallel : session, batch, shape);
}

/**
 * One session for each network, exclusive or not. It is not used again after a failure: it would go on failing, or return
 * wrong numbers. The WebGPU provider only logs that memory ran out and then computes with buffers that were never
 * written, so a prediction that is zero or NaN everywhere counts as a failure.
 */
async function loadOnGpu(spec: NetworkSpec, device: GpuDevice): Promise<Networks> {
  const loaded = await loadEach(spec, async (shape) => {
    const file = path.join(spec.folder, shape.file);
    const session = await createSession(file, PROVIDERS[device]).catch((error: Error) => {
      throw new EngineError(explainProviderError(device, error.message), { cause: error });
    });
    checkContract(session, file, shape);
    return async (batch) => {
      const prediction = await run(session, batch, shape);
      assertComputed(prediction);
      return prediction;
    };
  });
  const { name, software, memoryBytes } = gpuInUse(device);
  if (spec.hardwareOnly && software) {
    throw new EngineError(`${name} is the only GPU, and it computes on the CPU; DEVICE=webgpu would use it`);
  }
  return { deviceName: name, deviceMemoryBytes: memoryBytes, software, precision: 'fp32', ...loaded };
}

/** Loads the version's networks one after the other with `load`, the base first. */
async function loadEach(
  spec: NetworkSpec,
  load: (shape: NetworkShape) => Promise<Networks['evaluate']>,
): Promise<Pick<Networks, 'networks' | 'evaluate'>> {
  const loaded = new Map<NetworkName, Networks['evaluate']>();
  for (const name of NETWORK_NAMES) {
    const shape = spec.networks[name];
    if (shape) loaded.set(name, await load(shape));
  }
  return {
    networks: [...loaded.keys()],
    async evaluate(batch, exclusive) {
      const evaluate = loaded.get(batch.network);
      if (!evaluate) throw new EngineError(`the network ${batch.network} is not loaded`);
      return evaluate(batch, exclusive);
    },
  };
}

/** Throws EngineError unless the network's inputs and output are float32, with the names and shapes that model.json gives. */
function checkContract(session: InferenceSession, file: string, shape: NetworkShape) {
  const { inChannels, outChannels, resolution: r } = shape;
  const expected: Record<string, Shape> = {
    x: ['N', inChannels, r, r],
    t: ['N'],
    prediction: ['N', outChannels, r, r],
  };
  const found = [...session.inputMetadata, ...session.outputMetadata];
  const fits = found.every(
    (value) => value.isTensor && value.type === 'float32' && shapeFits(value.shape, expected[value.name]),
  );
  if (fits && session.inputNames.length === 2 && session.outputNames.length === 1) return;
  const has = found.map((value) => {
    if (!value.isTensor) return `${value.name}, which is no tensor`;
    return `${value.name} ${value.type === 'float32' ? '' : `${value.type} `}[${value.shape}]`;
  });
  const required = Object.entries(expected).map(([name, shape]) => `${name} [${shape}]`);
  throw new EngineError(
    `${file} has ${has.join(', ')}, but model.json requires ${required.join(', ')}, all float32: export the model again`,
  );
}

type Shape = readonly (number | string)[];

/** A dimension that the file leaves open (a name) fits any size; the batch dimension has to be open. */
function shapeFits(shape: Shape, expected: Shape | undefined): boolean {
  const fits = (size: number | string, i: number) => typeof size === 'string' || size === expected?.[i];
  return shape.length === expected?.length && shape.every(fits);
}

function createSession(
  file: string,
  executionProviders: InferenceSession.SessionOptions['executionProviders'],
  /** keepMemory: whether the memory of an evaluation is kept for the next one. */
  { threads = 1, keepMemory = true } = {},
): Promise<InferenceSession> {
  return InferenceSession.create(file, {
    executionProviders,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    enableCpuMemArena: keepMemory, // an evaluation of 114 M weights at 256 px takes 0.5 GB, and the arena keeps up to twice that
    logSeverityLevel: 3,
    // A thread that spins while it waits would take CPU time from the other workers.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}

/** Resolves to the prediction, [N, C_out, R, R]. Rejects with DeviceError, or with what toTensors throws. */
async function run(session: InferenceSession, batch: Batch, shape: NetworkShape): Promise<Float32Array> {
  const inputs = toTensors(batch, shape);
  try {
    const { prediction } = await session.run(inputs);
    return prediction.data as Float32Array;
  } catch (error) {
    // The shapes are right, so what failed is memory or the device.
    throw new DeviceError((error as Error).message.trim(), { cause: error });
  }
}

/** The network's inputs: x [N, C, R, R] and t [N]. Throws when an array's length does not match its shape. */
function toTensors({ rows, x, t }: Batch, { inChannels, resolution }: NetworkShape) {
  return {
    x: new Tensor('float32', x, [rows, inChannels, resolution, resolution]),
    t: new Tensor('float32', t, [rows]),
  };
}
