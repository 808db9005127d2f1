import { expect, onTestFinished, test, vi } from 'vitest';
import type { PreparedRequest } from '../../src/generation/prepare.ts';
import { PictureBudget } from '../../src/image/budget.ts';
import { PreparedInputs } from '../../src/jobs/prepared-inputs.ts';
import type { ServedModel } from '../../src/registry/served-model.ts';

const MODEL = { ref: 'model@1' } as ServedModel;

/** A request whose pictures take `input` bytes, and twice as many with its results. */
function prepared(memory: PictureBudget, input: number): PreparedRequest {
  const needs = { input, check: input, total: 2 * input };
  return { model: MODEL, needs, room: memory.reserve(needs.total) } as unknown as PreparedRequest;
}

test('the pictures are kept without room for the results, and taken once with it', () => {
  const memory = new PictureBudget(400);
  const inputs = new PreparedInputs({ maxPixels: 100 });
  inputs.put('a', prepared(memory, 100));
  expect(memory.held).toBe(100);
  const taken = inputs.take('a', MODEL);
  expect(taken?.room.bytes).toBe(200);
  expect(inputs.take('a', MODEL)).toBeUndefined();
  expect(() => memory.reserve(101)).toThrow(); // what was taken is not given up
  taken?.room.release();
  expect(memory.held).toBe(0);
});

test('they are given up when a request needs their memory', () => {
  const memory = new PictureBudget(400);
  const inputs = new PreparedInputs({ maxPixels: 100 });
  inputs.put('a', prepared(memory, 100));
  inputs.put('b', prepared(memory, 100));
  const room = memory.reserve(200);
  expect(room.bytes).toBe(200);
  expect(inputs.take('a', MODEL)).toBeUndefined();
  expect(inputs.take('b', MODEL)).toBeUndefined(); // it is kept, but there is no room for its result
  expect(memory.held).toBe(200);
});

test.each([
  ['another version', 'model@2'],
  ['a version of the same number, whose files have changed', 'model@1'],
])('those for %s are released', (_, ref) => {
  const memory = new PictureBudget(400);
  const inputs = new PreparedInputs({ maxPixels: 100 });
  inputs.put('a', prepared(memory, 100));
  expect(inputs.take('a', { ref } as ServedModel)).toBeUndefined();
  expect(memory.held).toBe(0);
});

test('they are kept for ten seconds', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const memory = new PictureBudget(400);
  const inputs = new PreparedInputs({ maxPixels: 100 });
  inputs.put('a', prepared(memory, 100));
  vi.advanceTimersByTime(9_999);
  expect(memory.held).toBe(100);
  vi.advanceTimersByTime(1);
  expect(memory.held).toBe(0);
  expect(inputs.take('a', MODEL)).toBeUndefined();
});

test('they are bounded in bytes, by the largest picture that is accepted', () => {
  const MB = 1_000_000;
  const memory = new PictureBudget(1000 * MB);
  const inputs = new PreparedInputs({ maxPixels: 10 * MB }); // 150 MB
  for (const id of ['a', 'b', 'c']) inputs.put(id, prepared(memory, 75 * MB));
  expect(memory.held).toBe(150 * MB);
  expect(inputs.take('c', MODEL)).toBeUndefined();
  for (const id of ['a', 'b']) inputs.take(id, MODEL)?.room.release();
  expect(memory.held).toBe(0);
  inputs.put('d', prepared(memory, 150 * MB)); // what was taken no longer counts
  expect(inputs.take('d', MODEL)?.room.bytes).toBe(300 * MB);
});
