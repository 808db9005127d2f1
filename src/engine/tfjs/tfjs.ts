import os from 'node:os';
import path from 'node:path';
import { EngineError } from '../engine.ts';
import type { Network, NetworkSpec } from '../network.ts';
import { loadBackend } from './backend.ts';
import { readSafetensors } from './safetensors.ts';

/**
 * The network in TensorFlow.js, on the backend that spec.library brings. Rejects with EngineError when that is not
 * installed, has no GPU where one is asked for, or the weights cannot be read.
 *
 * A TensorFlow has one set of threads for its process: `alone` changes nothing here.
 */
export async function loadTfjs(spec: NetworkSpec): Promise<Network> {
  const tf = await loadBackend(spec.library);
  const onGpu = (tf.backend() as { isUsingGpuDevice?: boolean }).isUsingGpuDevice ?? false;
  if (spec.device === 'cuda' && !onGpu) throw new EngineError(`${spec.library} finds no GPU`);
  // Only now: they import tfjs-core, which need not be installed.
  const { Parameters } = await import('./parameters.ts');
  const { unet } = await import('./unet.ts');

  const parameters = await readSafetensors(path.join(spec.folder, 'weights.safetensors'));
  const network = unet(Parameters.load(parameters), spec.architecture);
  return {
    deviceName: `${onGpu ? 'NVIDIA GPU' : (os.cpus()[0]?.model.trim() ?? 'unknown CPU')}, ${spec.library}`,
    precision: 'fp32',
    async evaluate({ rows, x, t }) {
      const shape = [rows, spec.inChannels, spec.resolution, spec.resolution] as const;
      const prediction = tf.tidy(() => network(tf.tensor4d(x, [...shape]), tf.tensor1d(t)));
      try {
        return (await prediction.data()) as Float32Array;
      } finally {
        prediction.dispose();
      }
    },
  };
}
