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

/** A Vulkan driver that computes on the CPU is far slower than the CPU itself: taken only when asked for by name. */
const WEBGPU: Runtime = { ...onnx('webgpu'), hardware: true };

/** In the order to try them in: the fastest first. */
const ORDER: Record<RuntimeChoice['engine'], Runtime[]> = {
  auto: [onnx('cuda'), TFJS_GPU, WEBGPU, onnx('cpu')],
  onnx: [onnx('cuda'), WEBGPU, onnx('cpu')],
  tfjs: TFJS,
};

/** Building its plans takes minutes and they cannot be kept from Node, so it has to be asked for. */
const NOT_AUTO: Runtime[] = [onnx('tensorrt')];

/** What may evaluate the network as the settings have it, the fastest first. Throws EngineError when nothing can. */
export function runtimes({ engine, device }: RuntimeChoice): Runtime[] {
  const inOrder = ORDER[engine];
  if (device === 'auto') return inOrder;
  const named = [...inOrder, ...(engine === 'tfjs' ? [] : NOT_AUTO)]
    .filter((runtime) => runtime.device === device)
    .map(({ hardware, ...runtime }) => runtime);
  if (named.length === 0) throw new EngineError(`ENGINE ${engine} does not run on DEVICE ${device}`);
  return named;
}

/** What may take over when none of `runtimes(choice)` works any more: what comes after them in the order. */
export function fallbacks(choice: RuntimeChoice, failed: Runtime): Runtime[] {
  const inOrder = ORDER[choice.engine];
  const same = ({ engine, device, library }: Runtime) =>
    engine === failed.engine && device === failed.device && library === failed.library;
  return inOrder.slice(inOrder.findIndex(same) + 1); // tensorrt, which is not in it, comes before all
}

/**
 * The first attempt that succeeds, in order. `onPassedOver` hears of each that failed while there is another to try.
 * Rejects with the error of the last.
 */
export async function firstToStart<T>(
  candidates: Runtime[],
  start: (runtime: Runtime) => Promise<T>,
  onPassedOver: (runtime: Runtime, why: string) => void,
): Promise<T> {
  const [runtime, ...others] = candidates;
  try {
    return await start(runtime);
  } catch (error) {
    if (others.length === 0) throw error;
    onPassedOver(runtime, (error as Error).message);
    return firstToStart(others, start, onPassedOver);
  }
}
