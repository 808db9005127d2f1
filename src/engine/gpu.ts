import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { GpuDevice } from './onnx-providers.ts';

/** The GPU that onnxruntime uses, as far as it can be found out: onnxruntime-node does not tell. */
export interface Gpu {
  name: string;
  /** It is a driver that computes on the CPU. */
  software: boolean;
  memoryBytes?: number;
}

/**
 * The GPU that this process uses. On Linux a driver keeps the device file open while it is in use, so WebGPU without an
 * open device file runs on a software driver.
 */
export function gpuInUse(device: GpuDevice): Gpu {
  if (device !== 'webgpu') return nvidia(process.env.CUDA_VISIBLE_DEVICES?.split(',')[0] || '0');
  if (process.platform === 'darwin') return { name: 'GPU on Metal', software: false };
  if (process.platform === 'win32') return { name: 'GPU on Direct3D 12', software: false };
  const files = openFiles();
  const [, index] = firstMatch(files, /^\/dev\/nvidia(\d+)$/) ?? [];
  if (index) return nvidia(index);
  const [, render] = firstMatch(files, /^\/dev\/dri\/(renderD\d+)$/) ?? [];
  if (render) return pciGpu(`/sys/class/drm/${render}/device`);
  const [other] = firstMatch(files, /^\/dev\/(dxg|mali|kgsl).*/) ?? [];
  return other ? { name: `GPU at ${other}`, software: false } : { name: softwareDriver(), software: true };
}

/** Name and memory from nvidia-smi, where it is installed. `id`: index or UUID. */
function nvidia(id: string): Gpu {
  const query = ['-i', id, '--query-gpu=name,memory.total', '--format=csv,noheader,nounits'];
  try {
    const output = execFileSync('nvidia-smi', query, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [name, mebibytes] = output.trim().split(', ');
    return { name, software: false, memoryBytes: Number(mebibytes) * 2 ** 20 || undefined };
  } catch {
    return { name: 'NVIDIA GPU', software: false };
  }
}

const VENDORS: Record<string, string> = { '0x1002': 'AMD', '0x10de': 'NVIDIA', '0x8086': 'Intel' };

/** Vendor, device number and memory of a PCI device, from its folder in /sys. */
function pciGpu(folder: string): Gpu {
  const read = (file: string) => {
    try {
      return readFileSync(`${folder}/${file}`, 'utf8').trim();
    } catch {
      return undefined;
    }
  };
  const vendor = VENDORS[read('vendor') ?? ''];
  return {
    name: [vendor, 'GPU', read('device')].filter(Boolean).join(' '),
    software: false,
    memoryBytes: Number(read('mem_info_vram_total')) || undefined, // only amdgpu has it
  };
}

/** The software Vulkan driver that this process has loaded. */
function softwareDriver(): string {
  const libraries = readFileSync('/proc/self/maps', 'utf8');
  if (libraries.includes('swiftshader')) return 'SwiftShader';
  return libraries.includes('libvulkan_lvp') ? 'llvmpipe' : 'a software Vulkan driver';
}

/** Paths of the files that this process has open (Linux). */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return []; // closed in the meantime
    }
  });
}

function firstMatch(texts: string[], pattern: RegExp): RegExpMatchArray | undefined {
  for (const text of texts) {
    const match = text.match(pattern);
    if (match) return match;
  }
  return undefined;
}
