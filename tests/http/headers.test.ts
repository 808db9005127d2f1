import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashKey, newKey } from '../../src/config/api-keys.ts';
import { hasChromium, openBrowser } from '../helpers/browser.ts';
import { startFakeApp } from './fake-app.ts';

const key = newKey();
let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeAll(async () => {
  service = await startFakeApp({ API_KEYS: `alice:${hashKey(key).toString('hex')}` });
});
afterAll(() => service.app.close());

test('every response has headers against loading resources, MIME sniffing and framing', async () => {
  for (const path of ['/', '/docs/', '/v1/models', '/health/live', '/nothing', '/openapi.json']) {
    const { headers } = await request(service.url).get(path);
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(headers['x-frame-options']).toBe('DENY');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(
      headers['strict-transport-security'],
      'whether HTTPS is forced is up to the proxy',
    ).toBeUndefined();
    expect(headers['x-powered-by']).toBeUndefined();
  }
});

test('DOCS=false disables /docs and the OpenAPI document', async () => {
  const { app, url } = await startFakeApp({ DOCS: 'false' });
  for (const path of ['/docs', '/docs/', '/openapi.json', '/openapi.yaml']) {
    const { status, body } = await request(url).get(path);
    expect([status, body.detail]).toEqual([404, `there is no ${path}`]);
  }
  expect((await request(url).get('/v1/models')).status).toBe(200);
  await app.close();
});

describe.skipIf(!hasChromium)('a page of another origin', () => {
  test('may delete, read the headers and show pictures if its origin is allowed, and only then', async () => {
    const [page, stranger] = await Promise.all([startPage(), startPage()]);
    const { app, url } = await startFakeApp({ CORS_ORIGINS: page.origin, RATE_LIMIT: '100/minute' });
    const browser = await openBrowser();
    try {
      const tab = await browser.newPage();
      await tab.goto(page.origin);
      expect(await tab.evaluate(useService, url)).toEqual({
        seed: '7',
        hidden: [],
        deleted: 200,
        width: 8,
      });
      await tab.goto(stranger.origin);
      await expect(tab.evaluate(useService, url)).rejects.toThrow('Failed to fetch');
    } finally {
      await browser.close();
      await app.close();
      page.server.close();
      stranger.server.close();
    }
  });
});

/** An empty page on a port, and therefore an origin, of its own. */
async function startPage() {
  const server = createServer((_, response) =>
    response.setHeader('content-type', 'text/html').end('<!doctype html>'),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Runs in the page. */
async function useService(url: string) {
  const post = (path: string, body: object) =>
    fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const sampled = await post('/v1/sample', { steps: 1, seed: 7 });
  const names = ['x-seed', 'x-model', 'x-request-id', 'ratelimit-limit', 'ratelimit-remaining'];
  const hidden = names.filter((name) => !sampled.headers.has(name));
  const submitted = await post('/v1/jobs', { task: 'sample', steps: 1 });
  const job = (await submitted.json()) as { id: string; events: string };
  await (await fetch(url + job.events)).text(); // until it has ended
  const { document } = globalThis as unknown as {
    document: { createElement(name: 'img'): { src: string; width: number; decode(): Promise<void> } };
  };
  const picture = document.createElement('img');
  picture.src = `${url}/v1/jobs/${job.id}/images/0`;
  await picture.decode();
  const { status } = await fetch(`${url}/v1/jobs/${job.id}`, { method: 'DELETE' });
  return { seed: sampled.headers.get('x-seed'), hidden, deleted: status, width: picture.width };
}

describe.skipIf(!hasChromium)('/docs in a real browser', () => {
  test('works under its policy: a key is taken, a call is made', async () => {
    const browser = await openBrowser();
    try {
      const page = await browser.newPage();
      const complaints: string[] = [];
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(error.message));
      const answer = await page.goto(`${service.url}/docs/`);
      expect(answer?.headers()['content-security-policy']).not.toContain('unsafe');
      await page.getByRole('button', { name: 'Authorize' }).first().click();
      await page
        .locator('.auth-container input[type=text], .auth-container input[type=password]')
        .first()
        .fill(key);
      await page
        .locator('.auth-container')
        .getByRole('button', { name: /apply|authorize/i })
        .first()
        .click();
      await page.getByRole('button', { name: 'Close' }).first().click();
      await page.locator('#operations-models-listModels .opblock-summary-control').click();
      await page.getByRole('button', { name: 'Try it out' }).click();
      await page.getByRole('button', { name: 'Execute' }).click();
      await page
        .locator('#operations-models-listModels .live-responses-table .response-col_status')
        .last()
        .waitFor();
      const shown = await page.locator('#operations-models-listModels .live-responses-table').innerText();
      expect(shown).toContain('200');
      expect(shown).toContain('fake@1');
      expect(complaints).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});
