import { expect, test } from 'vitest';
import { ServiceError } from '../../src/playground/service/http.ts';
import { sentenceFor } from '../../src/playground/service/sentences.ts';
import { NO_SETTINGS } from '../../src/playground/state/store.ts';

const problem = (status: number, slug: string, detail?: string) =>
  new ServiceError(status, { type: `/problems/${slug}`, detail });

test.each([
  'celeba-inpaint-64@5 is loading',
  'the job store cannot be reached',
])('what is not ready: %s', (why) => {
  expect(sentenceFor(problem(503, 'not-ready', why))).toEqual({
    place: 'fill',
    text: `The service is not ready: ${why}. Try again in a few seconds.`,
  });
});

test('a hole that “Grow hole” makes vanish is named beside that setting', () => {
  const empty = problem(422, 'empty-mask');
  expect(sentenceFor(empty, { ...NO_SETTINGS, mask_grow: '-20' })).toEqual({
    place: 'mask_grow',
    text: 'Grow hole: -20 px leaves nothing of the hole.',
  });
  expect(sentenceFor(empty, NO_SETTINGS).place).toBe('fill');
});
