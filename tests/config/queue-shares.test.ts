import { expect, test } from 'vitest';
import { queueShares } from '../../src/config/queue-shares.ts';

const backgroundOf = (limit: number, percent: number) =>
  queueShares({ QUEUE_LIMIT: limit, JOB_QUEUE_SHARE: percent, API_KEYS: [] }).background;

test('jobs get their share', () => {
  expect(backgroundOf(64, 50)).toBe(32);
  expect(backgroundOf(64, 25)).toBe(16);
});

test('the largest job always fits, and so does the largest request beside the jobs', () => {
  expect(backgroundOf(64, 1)).toBe(8);
  expect(backgroundOf(64, 100)).toBe(54);
  expect(backgroundOf(18, 100)).toBe(8);
  expect(backgroundOf(16, 100)).toBe(8);
});
