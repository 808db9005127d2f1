import { expect, test } from 'vitest';
import { DeviceError } from '../../src/engine/engine.ts';
import { assertComputed } from '../../src/engine/finite.ts';

test('a device that returns nothing but zeros and NaN has failed', () => {
  for (const values of [
    [0, -0],
    [Number.NaN, Number.NaN],
    [0, Number.NaN],
  ])
    expect(() => assertComputed(Float32Array.from(values))).toThrow(DeviceError);
  for (const values of [
    [0, 1],
    [Number.NaN, 1],
  ])
    assertComputed(Float32Array.from(values));
});
