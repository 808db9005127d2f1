import { expect, test } from 'vitest';
import { ServiceError } from '../../src/playground/service/http.ts';
import { sentenceFor } from '../../src/playground/service/sentences.ts';
import { NO_SETTINGS } from '../../src/playground/state/store.ts';

const problem = (status: number, slug: string, detail?: string, pointer?: string) =>
  new ServiceError(status, {
    type: `/problems/${slug}`,
    detail,
    errors: pointer ? [{ pointer, detail: detail ?? '' }] : undefined,
  });

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

test('memory that several results would take is named beside their number', () => {
  const why = 'would take 1505 MB of memory; a request may take 1074 MB';
  const each = '8, each of 4000 x 3000 pixels as png,';
  expect(sentenceFor(problem(413, 'picture-too-large', `num_images ${each} ${why}`, '#/num_images'))).toEqual(
    {
      place: 'num_images',
      text: `Results: ${each} ${why}.`,
    },
  );
  expect(
    sentenceFor(problem(413, 'picture-too-large', `image of 9000 x 9000 pixels as png ${why}`, '#/image')),
  ).toEqual({
    place: 'open',
    text: `This picture is too large for the service: image of 9000 x 9000 pixels as png ${why}.`,
  });
});

test('why a model could not draw is said', () => {
  const why = 'celeba-inpaint-128@2 cannot be loaded: a file is damaged';
  expect(sentenceFor(problem(500, 'engine-failure', why))).toEqual({
    place: 'fill',
    text: `The model could not draw this picture: ${why}.`,
  });
  const passing = 'the network could not be evaluated; the same request may succeed when it is sent again';
  expect(sentenceFor(problem(500, 'engine-failure', passing)).text).toBe(
    'The model stopped while it drew this picture. Try again.',
  );
});

test.each([
  [403, 'fill', 'The service refused this: HTTP status 403.'],
  [404, 'fill', 'The service refused this: HTTP status 404.'],
  [413, 'open', 'This picture’s file is larger than the service accepts. Open a smaller copy of it.'],
])('an answer of a proxy, with status %i and no problem document', (status, place, text) => {
  expect(sentenceFor(new ServiceError(status))).toMatchObject({ place, text });
});
