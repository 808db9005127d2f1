import type { Route } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { FACE, filled, usePages } from './open.ts';

describe.skipIf(!hasChromium)('before a picture is open', () => {
  const pages = usePages();

  test('the page says that it generates a face or opens a picture, and generates one face at a time', async () => {
    const page = await pages.open({ expected: /404/ });
    const waiting: Route[] = [];
    await page.route(/sample|examples\/face-2/, (route) => void waiting.push(route));
    const said = page.locator('#empty [role=status]');
    await page.click('#draw');
    await expect.poll(() => said.innerText()).toBe('Generating a face…');
    await page.click('#draw');
    await page.click('[data-example=face-2]');
    await expect.poll(() => said.innerText()).toBe('Opening the picture…');
    const asked = waiting.map((route) => new URL(route.request().url()).pathname);
    expect(asked.filter((path) => path === '/v1/sample')).toHaveLength(1);
    for (const route of waiting.slice(1)) await route.fulfill({ status: 404 });
    await expect.poll(() => page.textContent('#error-open')).toMatch(/^The example could not be loaded/);
    await expect.poll(() => said.innerText()).toBe('');
    await waiting[0].fulfill({ path: FACE, contentType: 'image/png' });
    await page.locator('#surface').waitFor();
  });

  test('the example that was chosen last is shown and filled, whichever arrives first', async () => {
    const page = await pages.open();
    const late: Route[] = [];
    await page.route('**/examples/face-2*', (route) => void late.push(route));
    await page.click('[data-example=face-2]');
    await expect.poll(() => late.length).toBe(2); // the picture and its mask
    await page.click('[data-example=face-3]');
    await filled(page, 4);
    const before = await page.getAttribute('#undo', 'title');
    const arrived = Promise.all(late.map((route) => page.waitForResponse(route.request().url())));
    await Promise.all(late.map((route) => route.continue()));
    await arrived;
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 500))); // in which it would be decoded
    expect(before).toMatch(/^Undo: fill/);
    expect(await page.getAttribute('#undo', 'title')).toBe(before);
    expect(await page.textContent('#fill')).toBe('Fill');
    expect(await page.getAttribute('#stage', 'aria-busy')).toBe('false');
  });

  test('the page says that a part of it could not be loaded', async () => {
    const page = await pages.open({ url: 'about:blank', expected: /404/ });
    let fail = () => {};
    await page.route('**/worker.js', (route) => {
      fail = () => void route.fulfill({ status: 404 });
    });
    await page.goto(pages.service.url);
    const said = () => page.locator('#empty [role=status]').innerText();
    const error = () => page.locator('#error-open').innerText();
    await page.setInputFiles('#file', FACE);
    await expect.poll(said).toBe('Opening the picture…');
    fail();
    await expect.poll(error).toContain('The page could not load completely. Reload it.');
    await expect.poll(said).toBe('');
    await page.setInputFiles('#file', FACE);
    await expect.poll(() => page.getAttribute('#stage', 'aria-busy')).toBe('false');
    expect(await error()).toContain('The page could not load completely. Reload it.');
  });

  test('pictures are dropped anywhere and pasted', async () => {
    const page = await pages.open();
    const give = (kind: 'drop' | 'paste', colour: string) =>
      page.evaluate(
        async ([kind, colour]) => {
          const canvas = new OffscreenCanvas(50, 40);
          const context = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
          context.fillStyle = colour;
          context.fillRect(0, 0, 50, 40);
          const data = new DataTransfer();
          data.items.add(new File([await canvas.convertToBlob()], 'given.png', { type: 'image/png' }));
          const options = { bubbles: true, cancelable: true };
          if (kind === 'drop')
            document
              .querySelector('h1')
              ?.dispatchEvent(new DragEvent('drop', { ...options, dataTransfer: data }));
          else document.dispatchEvent(new ClipboardEvent('paste', { ...options, clipboardData: data }));
        },
        [kind, colour],
      );
    await page.evaluate(() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.setData('text/uri-list', 'http://a.example/face.png');
      document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer }));
    });
    await expect.poll(() => page.textContent('#error-open')).toMatch(/^This is no file/);
    await give('drop', 'red');
    await page.locator('#surface').waitFor();
    await give('paste', 'blue');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: open a picture (Ctrl+Z)');
  });

  test('the page says what the model has learned; that files can be dropped, only where there is a mouse', async () => {
    const page = await pages.open();
    await expect
      .poll(() => page.textContent('#model-hint'))
      .toMatch(/has learned pictures of 64 × 64 px: CelebA, .*\. It fills other pictures less well\.$/);
    expect(await page.getAttribute('#model-hint', 'title')).toMatch(/U-Net/);
    await page.route('**/v1/models', async (route) => {
      const response = await route.fetch();
      const { models, ...rest } = await response.json();
      const [{ card, ...model }] = models;
      const source = 'google/ddpm-celebahq-256';
      const imported = { ...card, data: { name: `See ${source}` }, training: { imported_from: source } };
      await route.fulfill({ json: { ...rest, models: [{ ...model, ref: 'faces@1', card: imported }] } });
    });
    await page.reload();
    await expect
      .poll(() => page.textContent('#model-hint'))
      .toBe(
        'The model faces@1, imported from google/ddpm-celebahq-256, has learned pictures of 64 × 64 px. It fills other pictures less well.',
      );
    expect(await page.isVisible('#drop-hint')).toBe(true);
    const phone = await pages.open({ viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true });
    expect(await phone.isVisible('#drop-hint')).toBe(false);
  });
});
