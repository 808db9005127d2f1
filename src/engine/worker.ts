/**
 * The program of a worker process: loads a version's networks and evaluates the batches that it is sent. onnxruntime-node's run()
 * blocks the thread that calls it, and a native crash ends the whole process, so neither happens in the HTTP process.
 */
import type { NetworkSpec } from './network.ts';
import { runWorker } from './worker-loop.ts';

/** Dynamic imports: a worker loads only the libraries of its own engine. */
const LOADERS = {
  onnx: async (spec: NetworkSpec) => (await import('./onnx.ts')).loadOnnx(spec),
  tfjs: async (spec: NetworkSpec) => (await import('./tfjs/tfjs.ts')).loadTfjs(spec),
};

runWorker((spec) => LOADERS[spec.engine](spec));
