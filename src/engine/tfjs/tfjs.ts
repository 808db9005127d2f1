import path from 'node:path';
import { cpuName } from '../../machine.ts';
import { EngineError } from '../engine.ts';
import type { NetworkSpec, Networks } from '../network.ts';
import { loadBackend } from './backend.ts';
import { readSafetensors } from './safetensors.ts';

/**
 * Loads a version's base network in TensorFlow.js, and no other, on the backend of the npm package spec.library. Rejects
 * with EngineError when the package is not installed, when spec.device is a GPU and it finds none, or when the weights
 * cannot be read.
 *
 * TensorFlow's number of threads is fixed for the process, so an exclusive evaluation is no different from any other.
 */
export async function loadTfjs(spec: NetworkSpec): Promise<Networks> {
  const { inChannels, resolution, architecture } = spec.networks.base;
  if (!architecture)
    throw new EngineError(
      'TensorFlow.js cannot build this network, because its model.json has no architecture: use ENGINE=onnx',
    );
  const tf = await loadBackend(spec.library);
  const onGpu = (tf.backend() as { isUsingGpuDevice?: boolean }).isUsingGpuDevice ?? false;
  if (spec.device === 'cuda' && !onGpu) throw new EngineError(`${spec.library} finds no GPU`);
  // Dynamic imports: these modules import tfjs-core, which is optional.
  const { Parameters } = await import('./parameters.ts');
  const { unet } = await import('./unet.ts');

  const parameters = await readSafetensors(path.join(spec.folder, 'weights.safetensors'));
  const base = unet(Parameters.load(parameters), architecture);
  return {
    deviceName: `${onGpu ? 'NVIDIA GPU' : cpuName()}, ${spec.library}`,
    precision: 'fp32',
    networks: ['base'],
    async evaluate({ network, rows, x, t }) {
      if (network !== 'base') throw new EngineError(`the network ${network} is not loaded`);
      const shape = [rows, inChannels, resolution, resolution] as const;
      const prediction = tf.tidy(() => base(tf.tensor4d(x, [...shape]), tf.tensor1d(t)));
      try {
        return (await prediction.data()) as Float32Array;
      } finally {
        prediction.dispose();
      }
    },
  };
}
