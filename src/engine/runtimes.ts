import { EngineError } from './engine.ts';
import type { Runtime } from './network.ts';

export interface RuntimeChoice {
  engine: 'auto' | Runtime['engine'];
  device: 'auto' | Runtime['device'];
}

const onnx = (device: Runtime['device']): Runtime => ({
  engine: 'onnx',
  device,
  library: 'onnxruntime-node',
});

const TFJS_GPU: Runtime = { engine: 'tfjs', device: 'cuda', library: '@tensorflow/tfjs-node-gpu' };

const TFJS: Runtime[] = [
  TFJS_GPU,
  { engine: 'tfjs', device: 'cpu', library: '@tensorflow/tfjs-node' },
  { engine: 'tfjs', device: 'cpu', library: '@tensorflow/tfjs-backend-wasm' },
  { engine: 'tfjs', device: 'cpu', library: '@tensorflow/tfjs-backend-cpu' },
];

/** A Vulkan driver that computes on the CPU is far slower than the CPU itself: used only with DEVICE=webgpu. */
const WEBGPU: Runtime = { ...onnx('webgpu'), hardwareOnly: true };

/** Runtimes to try, the fastest first. */
const ORDER: Record<RuntimeChoice['engine'], Runtime[]> = {
  auto: [onnx('cuda'), TFJS_GPU, WEBGPU, onnx('cpu')],
  onnx: [onnx('cuda'), WEBGPU, onnx('cpu')],
  tfjs: TFJS,
};

/** Never chosen by "auto": TensorRT builds its plans for minutes at each start, and Node cannot make it keep them. */
const ONLY_BY_NAME: Runtime[] = [onnx('tensorrt')];

/** The runtimes that the settings allow, the fastest first. Throws EngineError when there is none. */
export function runtimes({ engine, device }: RuntimeChoice): Runtime[] {
  const inOrder = ORDER[engine];
  if (device === 'auto') return inOrder;
  const named = [...inOrder, ...(engine === 'tfjs' ? [] : ONLY_BY_NAME)]
    .filter((runtime) => runtime.device === device)
    .map(({ hardwareOnly, ...runtime }) => runtime);
  if (named.length === 0) throw new EngineError(`ENGINE ${engine} does not run on DEVICE ${device}`);
  return named;
}

/**
 * The runtimes that may replace `failed`: those after it in the order, on the device that the settings name, if they name
 * one. TensorRT, which is not in the order, is replaced by CUDA: it is the same device.
 */
export function fallbacks({ engine, device }: RuntimeChoice, failed: Runtime): Runtime[] {
  const inOrder = ORDER[engine];
  const isFailed = (other: Runtime) =>
    other.engine === failed.engine && other.device === failed.device && other.library === failed.library;
  const later = inOrder.slice(inOrder.findIndex(isFailed) + 1);
  const allowed = device === 'tensorrt' ? 'cuda' : device;
  return allowed === 'auto' ? later : later.filter((runtime) => runtime.device === allowed);
}

/**
 * Starts the candidates in order until one succeeds. Calls `onSkipped` for each that fails, except the last; rejects with
 * the last one's error.
 */
export async function startFirst<T>(
  [runtime, ...others]: Runtime[],
  start: (runtime: Runtime) => Promise<T>,
  onSkipped: (runtime: Runtime, reason: string) => void,
): Promise<T> {
  try {
    return await start(runtime);
  } catch (error) {
    if (others.length === 0) throw error;
    onSkipped(runtime, (error as Error).message);
    return startFirst(others, start, onSkipped);
  }
}
