/**
 * A worker process: loads one network and evaluates what it is sent. onnxruntime-node's run() blocks the thread that
 * calls it, and a native crash takes its process along: both stay out of the process that answers HTTP.
 */
import type { NetworkSpec } from './network.ts';
import { serve } from './serve.ts';

/** Imported on demand: a worker loads the libraries of its own engine alone. */
const LOAD = {
  onnx: async (spec: NetworkSpec) => (await import('./onnx.ts')).loadOnnx(spec),
  tfjs: async (spec: NetworkSpec) => (await import('./tfjs/tfjs.ts')).loadTfjs(spec),
};

serve((spec) => LOAD[spec.engine](spec));
