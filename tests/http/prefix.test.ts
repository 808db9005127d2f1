import request from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApp, type TestApp } from '../helpers/app.ts';

/** Where the service is reached, and the headers with which a request arrives. */
const CASES = [
  { name: 'BASE_PATH, kept by the proxy', path: '/ai', headers: {}, prefix: '/ai' },
  { name: 'BASE_PATH, stripped by the proxy', path: '', headers: {}, prefix: '/ai' },
  { name: 'X-Forwarded-Prefix', path: '', headers: { 'x-forwarded-prefix': '/x/y/' }, prefix: '/x/y' },
];

describe('behind a proxy with a path prefix', () => {
  let service: TestApp;
  beforeAll(async () => {
    service = await startApp({ BASE_PATH: '/ai', TRUST_PROXY: 'loopback' });
  });
  afterAll(() => service.app.close());

  describe.each(CASES)('$name', ({ path, headers, prefix }) => {
    const get = (of: string) => request(service.url).get(`${path}${of}`).set(headers);

    test('page, documents and probes are found, and the documents name the prefix', async () => {
      expect((await get('/')).text).toContain('src="playground/main.js"');
      expect((await get('/playground/main.js')).status).toBe(200);
      expect((await get('/health/live')).status).toBe(200);
      expect((await get('/openapi.json')).body.servers[0].url).toBe(prefix);
      expect((await get('/openapi.yaml')).text).toContain(`- url: ${prefix}\n`);
      expect((await get('/docs/json')).body.servers[0].url).toBe(prefix);
      expect((await get('/docs/yaml')).text).toContain(`- url: ${prefix}\n`);
      expect((await get('/nothing')).body.detail).toBe(`there is no /nothing; see ${prefix}/docs`);
      const docs = await get('/docs');
      expect([docs.status, docs.headers.location]).toEqual([302, 'docs/']);
      const [, script] = (await get('/docs/')).text.match(/src="\.(\/static\/[^"]+)"/) ?? [];
      expect((await get(`/docs${script}`)).status).toBe(200);
    });

    test('links of jobs begin with the prefix', async () => {
      const made = await request(service.url)
        .post(`${path}/v1/jobs`)
        .set(headers)
        .field({ task: 'sample', steps: '1' })
        .expect(202);
      const { id, events } = made.body;
      expect(made.headers.location).toBe(`${prefix}/v1/jobs/${id}`);
      expect(events).toBe(`${prefix}/v1/jobs/${id}/events`);
      await expect
        .poll(async () => (await get(`/v1/jobs/${id}`)).body.images)
        .toEqual([`${prefix}/v1/jobs/${id}/images/0`]);
    });
  });

  test('the prefix alone leads to the page', async () => {
    const { status, headers } = await request(service.url).get('/ai');
    expect([status, headers.location]).toEqual([302, 'ai/']);
  });

  test('a longer name, or a prefix that is no path, is not the prefix', async () => {
    expect((await request(service.url).get('/aix/health/live')).status).toBe(404);
    const { body } = await request(service.url)
      .get('/openapi.json')
      .set('x-forwarded-prefix', '//evil.example');
    expect(body.servers[0].url).toBe('/ai');
  });
});

test('without a trusted proxy, X-Forwarded-Prefix means nothing, and addresses are relative', async () => {
  const { app, url } = await startApp();
  try {
    const get = (path: string) => request(url).get(path).set('x-forwarded-prefix', '/evil');
    expect((await get('/openapi.json')).body.servers[0].url).toBe('.');
    expect((await get('/docs/json')).body.servers[0].url).toBe('..');
    expect((await get('/docs/yaml')).text).toContain('- url: ..\n');
    const answer = await request(url)
      .post('/v1/jobs')
      .set('x-forwarded-prefix', '/evil')
      .field({ task: 'sample', steps: '1' });
    expect(answer.body.events).toMatch(/^\/v1\/jobs\//);
  } finally {
    await app.close();
  }
});
