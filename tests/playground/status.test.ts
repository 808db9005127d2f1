import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { encodePicture } from '../../src/image/encode.ts';
import { hasChromium } from '../helpers/browser.ts';
import { noise } from '../image/make.ts';
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

  test('offer a smaller copy of a picture whose file a proxy refuses', async () => {
    const page = await pages.open({ expected: /413/ });
    const contentType = 'text/html';
    await page.route('**/v1/jobs', (route) =>
      route.fulfill({ status: 413, contentType, body: '<h1>413</h1>' }),
    );
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await page.click('#fill');
    await expect.poll(() => page.textContent('#error-open')).toMatch(/larger than the service accepts/);
    await page.click('#shrink');
    await expect.poll(() => page.inputValue('#curl')).toContain('image=@face-1-smaller.jpg');
    expect(await page.isVisible('#shrink')).toBe(false);
  });

  test('about a model that is gone renew the list of models', async () => {
    const page = await pages.open({ expected: /404/ });
    await expect.poll(() => page.textContent('#model-hint')).toContain('celeba');
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await page.route('**/v1/models', async (route) => {
      const { models } = await (await route.fetch()).json();
      await route.fulfill({ json: { models: [{ ...models[0], ref: 'new@1', default: true }] } });
    });
    const gone = { type: '/problems/unknown-model', errors: [{ pointer: '#/model', detail: 'unknown' }] };
    await page.route('**/v1/jobs', (route) => route.fulfill({ status: 404, json: gone }));
    await page.click('#fill');
    await expect
      .poll(() => page.textContent('#error-model'))
      .toMatch(/^The service does not have this model/);
    await expect
      .poll(() => page.locator('#field-model option').allTextContents())
      .toEqual(['Default', 'new@1']);
  });

  test.each<[string, (page: Page) => Promise<unknown>]>([
    ['“Reset settings”', (page) => page.click('#reset')],
    [
      'a picture that has settings',
      async (page) => {
        const metadata = { seed: 5, steps: 3 };
        const buffer = await encodePicture(noise(64, 64, 3), { format: 'png', metadata });
        await openFile(page, { name: 'filled.png', mimeType: 'image/png', buffer });
        await expect.poll(() => page.inputValue('[name=steps]')).toBe('3');
      },
    ],
  ])('go with %s, and so does text that is no number', async (_, replace) => {
    const page = await pages.open();
    await openFile(page, FACE);
    await page.click('#details summary');
    const padding = page.locator('[name=padding]');
    const isUnreadable = () => padding.evaluate((input) => (input as HTMLInputElement).validity.badInput);
    await padding.pressSequentially('1e');
    expect(await isUnreadable()).toBe(true);
    await page.click('#fill');
    await expect.poll(() => page.textContent('#error-padding')).toMatch(/^Padding must be/);
    await replace(page);
    await expect.poll(isUnreadable).toBe(false);
    expect(await page.textContent('#error-padding')).toBe('');
  });

  test('are in sight when an example of the lesson cannot be loaded', async () => {
    const page = await pages.open({ expected: /404/ });
    await page.route('**/examples/*', (route) => route.fulfill({ status: 404 }));
    await expect.poll(() => page.textContent('#model-hint')).toContain('celeba');
    await page.click('#tab-lesson');
    await page.click('#fill-example');
    await page.locator('#error-open').waitFor();
  });

  test('say what a number must be, where the hole is changed by one', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await page.click('#mask-menu summary');
    for (const wrong of ['0', '', '-4', '1000']) {
      await page.fill('#grow-by', wrong);
      await page.click('#grow');
      await expect
        .poll(() => page.textContent('#error-mask'))
        .toBe('The number of pixels must be a whole number from 1 to 256.');
    }
    await page.locator('[name=tool][value=rectangle]').check({ force: true });
    await page.fill('#rect-w', '');
    await page.click('#rect-add');
    const said = () => page.textContent('#error-rectangle');
    await expect.poll(said).toBe('The width must be a whole number from 1 to 64.');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('rect-w');
    await page.fill('#rect-w', '9');
    await page.fill('#rect-x', '64');
    await page.click('#rect-add');
    await expect.poll(said).toBe('x must be a whole number from 0 to 63.');
    expect(await page.getAttribute('#undo', 'title')).toBe('Undo: stroke (Ctrl+Z)');
    await page.fill('#rect-x', '3');
    await page.click('#rect-add');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: rectangle (Ctrl+Z)');
    expect(await said()).toBe('');
  });

  test('name what is wrong with the service, and it is asked again when it wants to be', async () => {
    const page = await pages.open({ expected: /429|500/ });
    await page.clock.install();
    let asked = 0;
    let status = 429;
    await page.route('**/v1/models', (route) => {
      asked += 1;
      void route.fulfill({ status, headers: { 'retry-after': '3600' }, json: {} });
    });
    await page.reload();
    const hint = () => page.textContent('#model-hint');
    await expect.poll(hint).toBe('The service is busy. This page tries again by itself.');
    for (let minutes = 0; minutes < 50; minutes += 10) {
      await page.clock.fastForward('10:00');
      await page.evaluate(() => fetch('playground/limits.json')); // in which it could ask
    }
    expect(asked).toBe(1);
    status = 500;
    await page.clock.fastForward('11:00');
    await expect.poll(hint).toBe('Something went wrong in the service. This page tries again by itself.');
    expect(asked).toBe(2);
  });
});
