import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { drag, FACE, holedFace, openFile, usePages } from './open.ts';

describe.skipIf(!hasChromium)('a generated face', () => {
  const pages = usePages();

  test('does not replace work that was begun meanwhile without a question, and keeps the settings', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await page.click('#close'); // the ways to begin, over the picture
    let answer = () => {};
    await page.route('**/v1/sample', (route) => {
      answer = () => void route.fulfill({ path: FACE, contentType: 'image/png' });
    });
    await Promise.all([page.waitForRequest('**/v1/sample'), page.click('#draw')]);
    await page.click('#close');
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await page.click('#details summary');
    await page.fill('[name=seed]', '5');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: stroke (Ctrl+Z)');
    answer();
    await page.click('#question-yes');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: open a picture (Ctrl+Z)');
    expect(await page.inputValue('[name=seed]')).toBe('5');
  });

  test('does not replace a picture that was opened meanwhile: it is cancelled', async () => {
    const page = await pages.open();
    await page.route('**/v1/sample', () => {}); // it takes long
    await Promise.all([page.waitForRequest('**/v1/sample'), page.click('#draw')]);
    const cancelled = page.waitForEvent('requestfailed');
    await openFile(page, await holedFace());
    expect((await cancelled).url()).toContain('/v1/sample');
    expect(await page.inputValue('#curl')).toContain('holed.png');
    await page.click('#close');
    await expect.poll(() => page.isVisible('#draw-cancel')).toBe(false);
  });

  test('is cancelled, and what an earlier attempt said goes', async () => {
    const page = await pages.open({ expected: /429/ });
    const said = () => page.locator('#opening').textContent();
    const busy = { status: 429, json: { type: '/problems/queue-full' } };
    await page.route('**/v1/sample', (route) => route.fulfill(busy));
    await page.click('#draw');
    await expect
      .poll(() => page.textContent('#error-open'))
      .toBe('The service is busy. Wait a little, then try again.');
    await page.unroute('**/v1/sample');
    await page.route('**/v1/sample', () => {}); // it takes long
    const failed = page.waitForEvent('requestfailed');
    await page.click('#draw');
    await expect.poll(said).toBe('Generating a face…');
    expect(await page.isVisible('#error-open')).toBe(false);
    await page.click('#draw-cancel');
    expect((await failed).url()).toContain('/v1/sample');
    await expect.poll(said).toBe('Cancelled.');
    expect(await page.isVisible('#draw-cancel')).toBe(false);
    await openFile(page, FACE);
    await page.click('#close'); // the ways to begin, over the picture
    await page.click('#draw');
    await expect.poll(said).toBe('Generating a face…');
  });
});
