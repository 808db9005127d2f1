import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { drag, FACE, openFile, status, usePages } from './open.ts';

describe.skipIf(!hasChromium)('errors on the page', () => {
  const pages = usePages();

  test('do not silence the status line; one about opening ends with the next stroke', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await page.click('#details summary');
    await page.fill('[name=steps]', '2000');
    await page.click('#fill');
    await page.setInputFiles('#file', 'README.md');
    await page.locator('#error-open').waitFor();
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await expect.poll(() => status(page)).toMatch(/^The hole covers/);
    expect(await page.textContent('#error-steps')).toMatch(/^Steps must be/);
    expect(await page.textContent('#error-open')).toBe('');
  });

  test('are in sight when an example of the lesson cannot be loaded', async () => {
    const page = await pages.open({ expected: /404/ });
    await page.route('**/examples/*', (route) => route.fulfill({ status: 404 }));
    await expect.poll(() => page.textContent('#model-hint')).toContain('celeba');
    await page.click('#tab-lesson');
    await page.click('#fill-example');
    await page.locator('#error-open').waitFor();
  });
});
