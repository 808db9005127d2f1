import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PROBLEMS } from '../../src/http/problem.ts';

test('docs/errors.md lists every type of problem with its status', () => {
  const rows = readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `([a-z-]+)` \| (\d{3}) \|/gm);
  const listed = Object.fromEntries([...rows].map(([, slug, status]) => [slug, Number(status)]));
  expect(listed).toEqual(
    Object.fromEntries(Object.entries(PROBLEMS).map(([slug, [status]]) => [slug, status])),
  );
});
