import util from 'node:util';
import { EngineError } from '../engine.ts';

/** TensorFlow.js' name for the backend that each npm package provides. */
const BACKENDS: Partial<Record<string, string>> = {
  '@tensorflow/tfjs-node-gpu': 'tensorflow',
  '@tensorflow/tfjs-node': 'tensorflow',
  '@tensorflow/tfjs-backend-wasm': 'wasm',
  '@tensorflow/tfjs-backend-cpu': 'cpu',
};

/** How to install them: the packages' own install scripts download a TensorFlow of 2022, for CUDA 11. */
const INSTALL: Partial<Record<string, string>> = {
  '@tensorflow/tfjs-node-gpu': 'docker/install-tfjs.sh gpu',
  '@tensorflow/tfjs-node': 'docker/install-tfjs.sh cpu',
};

/**
 * Loads an npm package and activates its backend; resolves to tfjs-core. The packages are optional peer dependencies:
 * rejects with EngineError when one is not installed or does not work here.
 */
export async function loadBackend(library: string): Promise<typeof import('@tensorflow/tfjs-core')> {
  const backend = BACKENDS[library];
  if (!backend) throw new EngineError(`${library} has no TensorFlow.js backend`);
  // TensorFlow reads these when it is loaded. There is a worker per core, so each has one thread.
  process.env.TF_NUM_INTRAOP_THREADS ??= '1';
  process.env.OMP_NUM_THREADS ??= '1';
  process.env.TF_ENABLE_ONEDNN_OPTS ??= '0'; // single rows are faster without oneDNN: bench/README.md
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  restoreUtil();
  try {
    await import(library);
    const tf = await import('@tensorflow/tfjs-core');
    tf.enableProdMode();
    if (!(await tf.setBackend(backend))) throw new Error(`the backend '${backend}' does not start here`);
    return tf;
  } catch (error) {
    throw new EngineError(explainLoadError(library, error as NodeJS.ErrnoException), { cause: error });
  }
}

/** tfjs-node 4.22 calls util.isNullOrUndefined, which Node 23 removed. */
function restoreUtil() {
  const removed: { isNullOrUndefined?: (value: unknown) => boolean } = util;
  removed.isNullOrUndefined ??= (value) => value === null || value === undefined;
}

/** A sentence that says why the package cannot be used and, when it is not installed, how to install it. */
function explainLoadError(library: string, { code, message }: NodeJS.ErrnoException): string {
  const [missing] = /@tensorflow\/[\w-]+/.exec(message) ?? [];
  return missing && (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND')
    ? `${missing} is not installed: ${INSTALL[missing] ?? `npm install ${missing}`}`
    : `${library} cannot be used: ${message.split('\n')[0]}`;
}
