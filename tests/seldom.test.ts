import { expect, test } from 'vitest';
import { seldom } from '../src/seldom.ts';

test('a message is reported once in an interval, and then with the number of its repetitions', () => {
  let now = 0;
  const reported: [string, number][] = [];
  const handle = seldom(
    ({ message }, repeated) => reported.push([message, repeated]),
    1000,
    () => now,
  );
  for (now = 0; now < 1000; now += 100) handle(new Error('refused'));
  handle(new Error('timed out'));
  handle(new Error('refused'));
  expect(reported).toEqual([
    ['refused', 0],
    ['timed out', 0],
    ['refused', 9],
  ]);
});

test('what it remembers is bounded', () => {
  let count = 0;
  const handle = seldom(() => count++);
  for (let i = 0; i < 150; i++) handle(new Error(`error ${i}`));
  handle(new Error('error 149'));
  expect(count).toBe(150);
  handle(new Error('error 0')); // forgotten
  expect(count).toBe(151);
});
