import util from 'node:util';
import { EngineError } from '../engine.ts';

/** tfjs' name for the backend that an npm package brings. */
const BACKENDS: Partial<Record<string, string>> = {
  '@tensorflow/tfjs-node-gpu': 'tensorflow',
  '@tensorflow/tfjs-node': 'tensorflow',
  '@tensorflow/tfjs-backend-wasm': 'wasm',
  '@tensorflow/tfjs-backend-cpu': 'cpu',
};

/** Their own install scripts fetch a TensorFlow of 2022 for CUDA 11. */
const INSTALL: Partial<Record<string, string>> = {
  '@tensorflow/tfjs-node-gpu': 'docker/install-tfjs.sh gpu',
  '@tensorflow/tfjs-node': 'docker/install-tfjs.sh cpu',
};

/**
 * Loads the package and makes its backend the one in use; resolves to tfjs-core. They are optional peer dependencies:
 * rejects with EngineError, a sentence, when one is not installed or does not work here.
 */
export async function loadBackend(library: string): Promise<typeof import('@tensorflow/tfjs-core')> {
  const backend = BACKENDS[library];
  if (!backend) throw new EngineError(`${library} has no backend of tfjs`);
  // Read when TensorFlow is loaded. A worker a core, of one thread each, is what serves most requests.
  process.env.TF_NUM_INTRAOP_THREADS ??= '1';
  process.env.OMP_NUM_THREADS ??= '1';
  process.env.TF_ENABLE_ONEDNN_OPTS ??= '0'; // without it a row alone, and few are not, costs less: bench/README.md
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  restoreUtil();
  try {
    await import(library);
    const tf = await import('@tensorflow/tfjs-core');
    tf.enableProdMode();
    if (!(await tf.setBackend(backend))) throw new Error(`its backend '${backend}' does not start here`);
    return tf;
  } catch (error) {
    throw new EngineError(why(library, error as NodeJS.ErrnoException), { cause: error });
  }
}

/** tfjs-node 4.22 calls a function that Node 23 removed. */
function restoreUtil() {
  const removed: { isNullOrUndefined?: (value: unknown) => boolean } = util;
  removed.isNullOrUndefined ??= (value) => value === null || value === undefined;
}

function why(library: string, { code, message }: NodeJS.ErrnoException): string {
  const [missing] = /@tensorflow\/[\w-]+/.exec(message) ?? [];
  return missing && (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND')
    ? `${missing} is not installed: ${INSTALL[missing] ?? `npm install ${missing}`}`
    : `${library} cannot be used: ${message.split('\n')[0]}`;
}
