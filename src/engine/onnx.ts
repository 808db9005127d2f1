import os from 'node:os';
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Batch } from './engine.ts';
import type { Network, NetworkSpec } from './network.ts';

/**
 * The network in onnxruntime, on the CPU.
 *
 * Two sessions share the work: one of a single thread, best when every core has a worker of its own, and one of
 * all threads for an evaluation that is alone. onnxruntime's result is the same bit for bit whichever is used.
 */
export async function loadOnnx(spec: NetworkSpec): Promise<Network> {
  const file = path.join(spec.folder, 'unet.onnx');
  const one = await createSession(file, 1);
  const all = spec.threads > 1 ? await createSession(file, spec.threads) : one;
  return {
    deviceName: os.cpus()[0]?.model.trim() ?? 'unknown CPU',
    precision: 'fp32',
    async evaluate(batch, alone) {
      const { prediction } = await (alone ? all : one).run(feeds(batch, spec));
      return prediction.data as Float32Array;
    },
  };
}

function createSession(file: string, threads: number): Promise<InferenceSession> {
  return InferenceSession.create(file, {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    // A thread that spins while it waits would take a core from the other workers.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}

function feeds({ rows, x, t }: Batch, { inChannels, resolution }: NetworkSpec) {
  return {
    x: new Tensor('float32', x, [rows, inChannels, resolution, resolution]),
    t: new Tensor('float32', t, [rows]),
  };
}
