import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { gpuFiles, whyAbsent } from '../../src/engine/absent.ts';
import { runtimes } from '../../src/engine/runtimes.ts';

const [webgpu] = runtimes({ engine: 'onnx', device: 'webgpu' });
const [cpu] = runtimes({ engine: 'onnx', device: 'cpu' });
const [tfjsGpu] = runtimes({ engine: 'tfjs', device: 'cuda' });

test('WebGPU is tried only where there is a GPU', () => {
  expect(whyAbsent(webgpu, [])).toMatch('no device file');
  expect(whyAbsent(webgpu, ['renderD128'])).toBeUndefined();
});

test('the CPU is always tried', () => {
  expect(whyAbsent(cpu, [])).toBeUndefined();
});

test('a library that is not installed is named', () => {
  expect(whyAbsent({ ...tfjsGpu, library: 'a-library-that-is-not-installed' }, ['nvidia0'])).toMatch(
    'a-library-that-is-not-installed is not installed',
  );
  expect(whyAbsent({ ...tfjsGpu, library: 'sharp' }, ['nvidia0'])).toBeUndefined(); // hides its package.json
});

test('device files of GPUs are found, and no others', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'dev-'));
  mkdirSync(path.join(folder, 'dri'));
  for (const name of ['nvidia0', 'nvidiactl', 'nvidia-uvm', 'null', 'dri/card0', 'dri/renderD129'])
    writeFileSync(path.join(folder, name), '');
  expect(gpuFiles('linux', folder)).toEqual(['nvidia0', 'renderD129']);
  expect(gpuFiles('linux', path.join(folder, 'absent'))).toEqual([]);
  expect(gpuFiles('darwin', folder)).toBeUndefined();
});
