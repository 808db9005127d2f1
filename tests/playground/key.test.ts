import { describe, expect, test } from 'vitest';
import { hashKey, newKey } from '../../src/config/api-keys.ts';
import { hasChromium } from '../helpers/browser.ts';
import { usePages } from './open.ts';

const KEY = newKey();

describe.skipIf(!hasChromium)('a service that needs a key', () => {
  const pages = usePages({ API_KEYS: `page:${hashKey(KEY).toString('hex')}` });

  test('loads the models after a reload, with the key of before', async () => {
    const page = await pages.open({ expected: /401/ });
    await page.evaluate((key) => sessionStorage.setItem('key', key), KEY);
    await page.reload();
    await expect.poll(() => page.textContent('#model-hint')).toContain('celeba');
  });

  test('has a place for it before a picture is open, which the lesson names', async () => {
    const page = await pages.open({ expected: /401/ });
    await expect.poll(() => page.locator('#key').isVisible()).toBe(true);
    await page.click('#tab-lesson');
    expect(await page.textContent('#lesson-waiting')).toMatch(/^This service needs an API key\./);
    await page.click('#tab-editor');
    await page.fill('#key', KEY);
    await page.locator('#key').press('Tab');
    await expect.poll(() => page.textContent('#model-hint')).toContain('celeba');
  });

  test('refuses a key with an invisible character', async () => {
    const page = await pages.open({ expected: /401/ });
    await page.fill('#key', `${KEY}\u200b`);
    await page.locator('#key').press('Tab');
    await expect.poll(() => page.textContent('#error-key')).toMatch(/invisible/);
    await page.fill('#key', KEY);
    await page.locator('#key').press('Tab');
    await expect.poll(() => page.textContent('#model-hint')).toContain('celeba');
    expect(await page.textContent('#error-key')).toBe('');
  });
});
