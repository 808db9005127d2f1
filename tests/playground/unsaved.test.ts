import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { download, drag, FACE, filled, holedFace, openFile, status, stored, usePages } from './open.ts';

describe.skipIf(!hasChromium)('what needs no question before another picture is opened', () => {
  const pages = usePages();

  test('what was saved is still known after a reload', async () => {
    const page = await pages.open();
    const restore = async () => {
      await stored(page);
      await page.reload();
      await expect.poll(() => status(page)).toBe('Your picture, hole and results are back.');
    };
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await page.click('#details summary');
    await page.fill('[name=num_images]', '1');
    await page.click('#fill');
    await filled(page, 1);
    await page.click('#undo'); // to the hole that the result was made from
    await expect.poll(() => page.locator('#runs [aria-pressed=true]').count()).toBe(0);
    await restore();
    await download(page, '#download');
    await openFile(page, await holedFace());
    await expect.poll(() => page.inputValue('#curl')).toContain('holed.png');

    await page.click('#fill');
    await filled(page, 2);
    await page.click('#keep');
    await expect.poll(() => page.inputValue('#curl')).toContain('holed-filled.png');
    await restore();
    await download(page, '#download');
    await openFile(page, FACE);
    await expect.poll(() => page.inputValue('#curl')).toContain('face-1.png');
  });

  test('an example is no work, also when its fill is cancelled or goes on after a reload', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await page.click('#details summary');
    await page.fill('[name=steps]', '1000');
    await page.fill('[name=num_images]', '1');
    const openExample = async (name: string) => {
      await page.click('#close');
      await page.click(`[data-example=${name}]`);
      await expect.poll(() => page.inputValue('#curl')).toContain(`${name}.png`);
      await expect.poll(() => status(page)).toMatch(/^Drawing/);
    };
    const cancel = async () => {
      await page.keyboard.press('Escape');
      await expect.poll(() => status(page)).toBe('Cancelled.');
    };
    const reload = async () => {
      await stored(page);
      await page.reload();
    };
    await openExample('face-1');
    await cancel();
    await openExample('face-2');
    await reload();
    await expect.poll(() => status(page)).toMatch(/^Drawing/);
    await cancel();
    await page.click('#details summary');
    await page.fill('[name=steps]', '200');
    await openExample('face-3');
    await reload();
    await filled(page, 1);
    await page.click('#close');
    await page.click('[data-example=face-1]');
    await expect.poll(() => page.inputValue('#curl')).toContain('face-1.png');
  });
});
