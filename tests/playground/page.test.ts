import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startApp, type TestApp } from '../helpers/app.ts';
import { hasChromium, openBrowser } from '../helpers/browser.ts';

const FACE = 'examples/face-1.png';

describe.skipIf(!hasChromium)('the page, in a real browser', () => {
  let service: TestApp;
  let browser: Browser;
  let page: Page;
  /** Errors and warnings on the browser's console; every test expects none. */
  const complaints: string[] = [];
  beforeAll(async () => {
    [service, browser] = await Promise.all([startApp(), openBrowser()]);
  });
  afterAll(async () => {
    await browser.close();
    await service.app.close();
  });
  beforeEach(async () => {
    complaints.length = 0;
    page = await browser.newPage({ viewport: { width: 1100, height: 800 } });
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(service.url);
  });
  afterEach(async () => {
    await page.close();
    expect(complaints).toEqual([]);
  });

  const openFace = async () => {
    await page.setInputFiles('#file', FACE);
    await page.locator('#canvas').waitFor();
  };
  /** Paints a horizontal stroke across the middle; from and to are fractions of the canvas width. */
  const paint = async (from: number, to: number) => {
    const { x, y, width, height } = (await page.locator('#canvas').boundingBox()) ?? never();
    await page.mouse.move(x + from * width, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(x + to * width, y + height / 2, { steps: 8 });
    await page.mouse.up();
  };
  const status = page$('#status');
  function page$(selector: string) {
    return () => page.locator(selector).textContent();
  }
  /** The picture behind the download link. */
  const download = async () => {
    const [file] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
    return sharp(await readFile(await file.path()));
  };

  test('paint, fill, choose and download: the hole is filled, and known pixels stay the same', async () => {
    await openFace();
    await paint(0.3, 0.7);
    await page.fill('[name=num_images]', '2');
    await page.click('#fill');
    await page.locator('#candidates button').nth(1).click();
    expect(await status()).toMatch(/celeba-inpaint-64@\d+, \w+, \d+ steps, seed \d+/);

    const before = await sharp(FACE).removeAlpha().raw().toBuffer();
    const after = await (await download()).removeAlpha().raw().toBuffer();
    const row = (y: number) => [y * 64 * 3, (y + 1) * 64 * 3] as const;
    expect(after.length).toBe(before.length);
    expect(after.subarray(...row(2)).equals(before.subarray(...row(2)))).toBe(true);
    expect(after.subarray(...row(32)).equals(before.subarray(...row(32)))).toBe(false);
  });

  test('shows progress, and can be cancelled', async () => {
    await openFace();
    await paint(0.2, 0.8);
    await page.click('summary');
    await page.fill('[name=steps]', '1000');
    await page.click('#fill');
    await expect.poll(status).toMatch(/^Drawing: \d+ %, \d+ s left\.$/);
    await page.click('#cancel');
    await expect.poll(status).toBe('Cancelled.');
    await expect.poll(() => service.registry.get().scheduler?.depth).toEqual({ waiting: 0, active: 0 });
    expect(await page.locator('#fill').isEnabled()).toBe(true);
  });

  test('erased and undone strokes leave no hole, and the page asks to paint', async () => {
    await openFace();
    await page.click('#fill');
    expect(await status()).toBe('Paint over the area to fill first.');
    await paint(0.3, 0.7);
    await page.keyboard.press('Control+z');
    await page.click('#fill');
    await expect.poll(status).toBe('Paint over the area to fill first.');
    await paint(0.3, 0.7);
    await page.keyboard.press('e');
    await page.keyboard.press(']');
    await paint(0.2, 0.8);
    await page.click('#fill');
    await expect.poll(status).toBe('Paint over the area to fill first.');
  });

  test('generates a picture to start from; a result can be edited further', async () => {
    await page.click('#draw');
    await page.locator('#canvas').waitFor();
    await paint(0.4, 0.6);
    await page.click('#fill');
    await page.click('#keep');
    await expect.poll(status).toBe('Paint over the area to fill.');
  });

  test('shows the errors of the service, and rejects a file that is not a picture', async () => {
    await openFace();
    await paint(0.3, 0.7);
    await page.click('summary');
    await page.locator('[name=steps]').evaluate((input: { value: string; max: string }) => {
      input.max = '';
      input.value = '5000';
    });
    await page.click('#fill');
    await expect.poll(status).toMatch(/steps/);
    complaints.length = 0; // the browser logs the 400 as an error
    await page.setInputFiles('#file', 'README.md');
    await expect.poll(status).toBe('Your browser cannot open this file as a picture.');
  });
});

function never(): never {
  throw new Error('the canvas is not visible');
}
