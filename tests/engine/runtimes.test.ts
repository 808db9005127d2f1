import { expect, test } from 'vitest';
import { firstToStart, runtimes } from '../../src/engine/runtimes.ts';

const TFJS = runtimes({ engine: 'tfjs', device: 'auto' });

test('settings choose among the runtimes', () => {
  expect(runtimes({ engine: 'auto', device: 'auto' })[0]).toMatchObject({ engine: 'onnx', device: 'cpu' });
  expect(TFJS[0].device).toBe('cuda');
  expect(runtimes({ engine: 'tfjs', device: 'cpu' }).map(({ device }) => device)).not.toContain('cuda');
  expect(() => runtimes({ engine: 'onnx', device: 'cuda' })).toThrow(
    'ENGINE onnx does not run on DEVICE cuda',
  );
});

test('the first that starts is taken, and it is told why others were not', async () => {
  const passedOver: string[] = [];
  const start = async ({ device, library }: (typeof TFJS)[number]) => {
    if (device === 'cuda') throw new Error('no GPU');
    return library;
  };
  const started = await firstToStart(TFJS, start, ({ library }, why) =>
    passedOver.push(`${library}: ${why}`),
  );
  expect(started).toBe('@tensorflow/tfjs-node');
  expect(passedOver).toEqual(['@tensorflow/tfjs-node-gpu: no GPU']);
});

test('with none left, the last says why', async () => {
  const start = async ({ library }: (typeof TFJS)[number]) => {
    throw new Error(`${library} is broken`);
  };
  await expect(firstToStart(TFJS, start, () => {})).rejects.toThrow('tfjs-backend-cpu is broken');
});
