import { expect, test } from 'vitest';
import type { ApiKey } from '../../src/config/api-keys.ts';
import { mostAtOnce, mostInParts, queueShares } from '../../src/config/queue-shares.ts';
import { Admission } from '../../src/scheduler/admission.ts';

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

test('a request whose pictures enter one by one or at once always fits into an empty queue', () => {
  const keys = [{ name: 'alice' }, { name: 'bob' }] as ApiKey[];
  for (const API_KEYS of [[], keys]) {
    for (const QUEUE_LIMIT of [16, 17, 64]) {
      for (const JOB_QUEUE_SHARE of [1, 25, 50, 100]) {
        const settings = { QUEUE_LIMIT, JOB_QUEUE_SHARE, API_KEYS };
        const admission = new Admission({ limit: QUEUE_LIMIT, ...queueShares(settings) });
        const most = mostInParts(settings);
        expect(most).toBeGreaterThanOrEqual(8);
        const one = Array.from({ length: most }, () => admission.reserve(1, 'alice'));
        for (const reservation of one) reservation.release();
        admission.reserve(mostAtOnce(settings), 'alice');
      }
    }
  }
});
