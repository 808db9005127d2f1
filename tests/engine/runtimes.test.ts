import { expect, test } from 'vitest';
import { fallbacks, runtimes, startFirst } from '../../src/engine/runtimes.ts';

const TFJS = runtimes({ engine: 'tfjs', device: 'auto' });

const names = (found: ReturnType<typeof runtimes>) =>
  found.map(
    ({ engine, device, hardwareOnly }) => `${engine}/${device}${hardwareOnly ? ' on a real GPU' : ''}`,
  );

test('settings choose among the runtimes, the fastest first', () => {
  expect(names(runtimes({ engine: 'auto', device: 'auto' }))).toEqual([
    'onnx/cuda',
    'tfjs/cuda',
    'onnx/webgpu on a real GPU',
    'onnx/cpu',
  ]);
  expect(names(runtimes({ engine: 'auto', device: 'cuda' }))).toEqual(['onnx/cuda', 'tfjs/cuda']);
  expect(names(runtimes({ engine: 'auto', device: 'webgpu' }))).toEqual(['onnx/webgpu']);
  expect(names(runtimes({ engine: 'onnx', device: 'tensorrt' }))).toEqual(['onnx/tensorrt']);
  expect(TFJS[0].device).toBe('cuda');
  expect(runtimes({ engine: 'tfjs', device: 'cpu' }).map(({ device }) => device)).not.toContain('cuda');
  expect(() => runtimes({ engine: 'tfjs', device: 'webgpu' })).toThrow(
    'ENGINE tfjs does not run on DEVICE webgpu',
  );
});

test('what comes later in the order may take over', () => {
  const [cuda, tfjsCuda] = runtimes({ engine: 'auto', device: 'cuda' });
  const auto = { engine: 'auto', device: 'auto' } as const;
  expect(names(fallbacks(auto, cuda))).toEqual(['tfjs/cuda', 'onnx/webgpu on a real GPU', 'onnx/cpu']);
  expect(names(fallbacks(auto, tfjsCuda))).toEqual(['onnx/webgpu on a real GPU', 'onnx/cpu']);
  const [cpu] = runtimes({ engine: 'onnx', device: 'cpu' });
  expect(fallbacks(auto, cpu)).toEqual([]);
});

test('a fallback stays on the device that the settings name', () => {
  const [cuda] = runtimes({ engine: 'auto', device: 'cuda' });
  expect(names(fallbacks({ engine: 'auto', device: 'cuda' }, cuda))).toEqual(['tfjs/cuda']);
  const [webgpu] = runtimes({ engine: 'onnx', device: 'webgpu' });
  expect(fallbacks({ engine: 'onnx', device: 'webgpu' }, webgpu)).toEqual([]);
  const [tensorrt] = runtimes({ engine: 'onnx', device: 'tensorrt' });
  expect(names(fallbacks({ engine: 'onnx', device: 'tensorrt' }, tensorrt))).toEqual(['onnx/cuda']);
});

test('the first runtime that starts is used, and the reasons for skipping others are reported', async () => {
  const passedOver: string[] = [];
  const start = async ({ device, library }: (typeof TFJS)[number]) => {
    if (device === 'cuda') throw new Error('no GPU');
    return library;
  };
  const started = await startFirst(TFJS, start, ({ library }, why) => passedOver.push(`${library}: ${why}`));
  expect(started).toBe('@tensorflow/tfjs-node');
  expect(passedOver).toEqual(['@tensorflow/tfjs-node-gpu: no GPU']);
});

test('with none left, the last says why', async () => {
  const start = async ({ library }: (typeof TFJS)[number]) => {
    throw new Error(`${library} is broken`);
  };
  await expect(startFirst(TFJS, start, () => {})).rejects.toThrow('tfjs-backend-cpu is broken');
});
