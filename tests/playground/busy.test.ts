import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { asksToStay, drag, FACE, openFile, recordSpoken, status, stored, usePages } from './open.ts';

describe.skipIf(!hasChromium)('a service that needs a key and is busy', () => {
  const HASH = 'f9a4ba12e6c98a5bde8bd5c4d8e2ad0f4eb57d6a4ef0c2ab9b7a2e35dc8c5fa1';
  const pages = usePages({ API_KEYS: `page:${HASH}` });

  test('asks for the key beside its field', async () => {
    const page = await pages.open({ expected: /401/ });
    await expect.poll(() => page.textContent('#model-hint')).toBe('This service needs an API key.');
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await expect.poll(() => status(page)).toMatch(/^The hole covers/);
    await page.click('#fill');
    await expect
      .poll(() => page.textContent('#error-key'))
      .toBe('This service needs an API key. Enter a valid one, then try again.');
    await page.fill('#key', 'wrong');
    await page.locator('#key').press('Tab');
    await expect.poll(() => page.textContent('#error-key')).toBe('The service does not know this API key.');
  });

  test('counts down and tries again when the service is busy', async () => {
    const page = await pages.open({ expected: /429|401/ });
    let asked = 0;
    await page.route('**/v1/jobs', (route) => {
      asked++;
      return route.fulfill({
        status: 429,
        headers: { 'retry-after': '3' },
        contentType: 'application/problem+json',
        body: JSON.stringify({ type: '/problems/queue-full', status: 429, detail: 'full' }),
      });
    });
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await expect.poll(() => status(page)).toMatch(/^The hole covers/);
    await page.evaluate(recordSpoken);
    await page.click('#fill');
    const busy = /^The service is busy. Trying again in \d+ s\.$/;
    await expect.poll(() => status(page)).toMatch(busy);
    await expect.poll(() => asked).toBeGreaterThan(1);
    const spoken = await page.evaluate(() => (globalThis as unknown as { spoken: string[] }).spoken);
    expect(spoken.filter((text) => busy.test(text))).toHaveLength(1); // the seconds are not
    expect(await asksToStay(page)).toBe(true); // the service does not have the fill yet
    await page.keyboard.press('Escape');
    await expect.poll(() => status(page)).toBe('Cancelled.');
    await stored(page);
  });

  test('counts down a wait of minutes', async () => {
    const page = await pages.open({ expected: /429|401/ });
    await page.route('**/v1/jobs', (route) =>
      route.fulfill({
        status: 429,
        headers: { 'retry-after': '120' },
        json: { type: '/problems/queue-full' },
      }),
    );
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await expect.poll(() => status(page)).toMatch(/^The hole covers/);
    await page.clock.install();
    await page.click('#fill');
    await expect.poll(() => status(page)).toBe('The service is busy. Trying again in 2 min.');
    await page.clock.runFor(90_000);
    expect(await status(page)).toMatch(/^The service is busy. Trying again in [123]\d s\.$/);
  });

  test('a bad value in closed settings is shown beside its field', async () => {
    const page = await pages.open({ expected: /401/ });
    await openFile(page, FACE);
    await page.click('#fill');
    await expect
      .poll(() => page.textContent('#error-fill'))
      .toBe('There is no hole yet. Paint over what you want replaced.');
    await page.click('#details summary');
    await page.fill('[name=steps]', '2000');
    await page.click('#details summary');
    await page.click('#fill');
    await expect
      .poll(() => page.textContent('#error-steps'))
      .toBe('Steps must be a whole number from 1 to 1000.');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('field-steps');
    await page.setInputFiles('#file', 'README.md');
    await expect.poll(() => page.textContent('#error-open')).toMatch(/^Your browser cannot open this file/);
  });
});
