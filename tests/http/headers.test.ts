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
  for (const path of ['/v1/models', '/health/live', '/nothing', '/openapi.json']) {
    const { headers } = await request(service.url).get(path);
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['x-powered-by']).toBeUndefined();
  }
});

test('DOCS=false disables /docs and the OpenAPI document', async () => {
  const { app, url } = await startFakeApp({ DOCS: 'false' });
  for (const path of ['/docs', '/docs/', '/openapi.json', '/openapi.yaml'])
    expect((await request(url).get(path)).status).toBe(404);
  expect((await request(url).get('/v1/models')).status).toBe(200);
  await app.close();
});

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
