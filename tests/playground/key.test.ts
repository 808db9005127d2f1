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
});
