import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { drag, FACE, openFile, usePages } from './open.ts';

describe.skipIf(!hasChromium)('a generated face', () => {
  const pages = usePages();

  test('does not replace work that was begun meanwhile without a question, and keeps the settings', async () => {
    const page = await pages.open();
    let answer = () => {};
    await page.route('**/v1/sample', (route) => {
      answer = () => void route.fulfill({ path: FACE, contentType: 'image/png' });
    });
    await Promise.all([page.waitForRequest('**/v1/sample'), page.click('#draw')]);
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await page.click('#details summary');
    await page.fill('[name=seed]', '5');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: stroke (Ctrl+Z)');
    answer();
    await page.click('#question-yes');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: open a picture (Ctrl+Z)');
    expect(await page.inputValue('[name=seed]')).toBe('5');
  });
});
