import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { InferenceSession } from 'onnxruntime-node';
import type { DeviceName } from './engine.ts';

export type GpuDevice = Exclude<DeviceName, 'cpu'>;

/**
 * onnxruntime's execution providers for each device. From Node, the CUDA and TensorRT providers accept a device number
 * and no other option (no CUDA graphs, no memory limit). CUDA_VISIBLE_DEVICES says which GPU is number 0.
 */
export const PROVIDERS: Record<GpuDevice, InferenceSession.ExecutionProviderConfig[]> = {
  webgpu: ['webgpu'],
  cuda: [{ name: 'cuda', deviceId: 0 }],
  tensorrt: [
    { name: 'tensorrt', deviceId: 0 },
    { name: 'cuda', deviceId: 0 }, // runs the operators that TensorRT does not support
  ],
};

const INSTALL = 'ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install';

/**
 * A sentence that says why onnxruntime does not start on the device and what to do about it; its own `message` seldom
 * does. `folder` has its libraries.
 */
export function explainProviderError(device: GpuDevice, message: string, folder = libraryFolder()): string {
  if (device === 'webgpu') {
    return /adapter/i.test(message)
      ? 'WebGPU finds no GPU: on Linux it needs libvulkan.so.1 (libvulkan1) and the Vulkan driver of the GPU'
      : `WebGPU cannot be used here: ${message.trim()}`;
  }
  if (!message.includes('Failed to load shared library')) {
    const advice = /driver version is insufficient/i.test(message)
      ? ': the NVIDIA driver is too old for CUDA 12'
      : '';
    return `${device} cannot be used here: ${message.trim()}${advice}`;
  }
  const library = path.join(folder, `libonnxruntime_providers_${device}.so`);
  if (!existsSync(library)) return `onnxruntime's ${device} provider is not installed: ${INSTALL}`;
  const missing = missingLibraries(library);
  if (missing.length === 0) return `onnxruntime's ${device} provider does not load: ${message.trim()}`;
  const advice = missing.includes('libcuda.so.1')
    ? 'there is no NVIDIA driver here (a container needs --gpus all)'
    : 'install them, or add their folder to LD_LIBRARY_PATH';
  return `onnxruntime's ${device} provider does not find ${missing.join(', ')}: ${advice}`;
}

/** Where onnxruntime-node has its native libraries. */
export function libraryFolder(): string {
  const root = path.dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  return path.join(root, 'bin/napi-v6', process.platform, process.arch);
}

/** Names of the shared libraries that `library` needs and the dynamic linker does not find. */
function missingLibraries(library: string): string[] {
  const { stdout } = spawnSync('ldd', [library], { encoding: 'utf8' });
  return [...(stdout ?? '').matchAll(/^\s*(\S+) => not found/gm)].map(([, name]) => name);
}
