import { EngineError } from './engine.ts';
import type { Runtime } from './network.ts';

export interface RuntimeChoice {
  engine: 'auto' | Runtime['engine'];
  device: 'auto' | Runtime['device'];
}

const ONNX: Runtime[] = [{ engine: 'onnx', device: 'cpu', library: 'onnxruntime-node' }];

const TFJS: Runtime[] = [
  { engine: 'tfjs', device: 'cuda', library: '@tensorflow/tfjs-node-gpu' },
  { engine: 'tfjs', device: 'cpu', library: '@tensorflow/tfjs-node' },
  { engine: 'tfjs', device: 'cpu', library: '@tensorflow/tfjs-backend-wasm' },
  { engine: 'tfjs', device: 'cpu', library: '@tensorflow/tfjs-backend-cpu' },
];

/** In the order to try them in: the fastest first. */
const ORDER: Record<RuntimeChoice['engine'], Runtime[]> = { auto: ONNX, onnx: ONNX, tfjs: TFJS };

/** What may evaluate the network as the settings have it, the fastest first. Throws EngineError when nothing can. */
export function runtimes({ engine, device }: RuntimeChoice): Runtime[] {
  const candidates = ORDER[engine].filter((runtime) => device === 'auto' || runtime.device === device);
  if (candidates.length === 0) throw new EngineError(`ENGINE ${engine} does not run on DEVICE ${device}`);
  return candidates;
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
