import { beforeAll, expect, test } from 'vitest';
import { openapi } from '../../scripts/document.ts';
import { startFakeApp } from './fake-app.ts';

type Responses = Record<string, { headers: object; content?: Record<string, unknown> }>;
let paths: Record<string, Record<string, { responses: Responses }>>;
beforeAll(async () => {
  ({ paths } = JSON.parse(JSON.stringify((await openapi()).json)));
});

const statuses = (path: string, method: string) => Object.keys(paths[path][method].responses);

test('every header of an answer that the document describes may be read by pages of other origins', async () => {
  const { app, url } = await startFakeApp({ CORS_ORIGINS: 'https://page.example' });
  const answer = await fetch(url, { headers: { origin: 'https://page.example' } });
  await app.close();
  const exposed = answer.headers.get('access-control-expose-headers')?.split(', ');
  const described = Object.values(paths)
    .flatMap((operations) => Object.values(operations))
    .flatMap(({ responses }) => Object.values(responses))
    .flatMap(({ headers }) => Object.keys(headers));
  expect([...new Set(described)].filter((name) => !exposed?.includes(name))).toEqual(['www-authenticate']);
});

test('every POST may be refused because its body stalls or the service shuts down', () => {
  const posts = Object.entries(paths).flatMap(([path, { post }]) => (post ? [path] : []));
  expect(posts.length).toBeGreaterThan(10);
  for (const path of posts)
    expect(statuses(path, 'post'), path).toEqual(expect.arrayContaining(['408', '503']));
});

test('every operation on jobs may find that Redis does not answer', () => {
  const jobs = Object.keys(paths).filter((path) => path.startsWith('/v1/jobs'));
  expect(jobs).toHaveLength(4);
  for (const path of jobs)
    for (const method of Object.keys(paths[path])) expect(statuses(path, method), path).toContain('503');
});

test("OpenAI's operations with pictures may be refused because of them, with the statuses of that API", () => {
  for (const path of ['/v1/images/edits', '/v1/images/variations']) {
    const { responses } = paths[path].post as { responses: Record<string, { description?: string }> };
    expect(responses[422].description, path).toContain('picture-too-slow');
    expect(responses[400].description, path).toContain('unsupported-picture');
  }
});

test('inference may take too long, and /v1/diffuse evaluates no network', () => {
  expect(statuses('/v2/models/{model}/infer', 'post')).toContain('422');
  const { headers } = paths['/v1/diffuse'].post.responses[200];
  expect(Object.keys(headers)).toEqual(expect.arrayContaining(['x-seed', 'x-model']));
  for (const name of ['x-steps', 'x-precision', 'server-timing']) expect(headers).not.toHaveProperty(name);
});
