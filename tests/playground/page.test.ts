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
  /** What the browser complains of: there must be nothing. */
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
  /** A stroke across the middle, in shares of the canvas. */
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
  /** The picture that the download link holds. */
  const download = async () => {
    const [file] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
    return sharp(await readFile(await file.path()));
  };

  test('paint, fill, choose, download: the hole is filled, the rest is what it was', async () => {
    await openFace();
    await paint(0.3, 0.7);
    await page.fill('[name=num_images]', '2');
    await page.click('#fill');
    await page.locator('#candidates button').nth(1).click({ timeout: 60_000 });
    expect(await status()).toMatch(/celeba-inpaint-64@\d+, \w+, \d+ steps, seed \d+/);

    const before = await sharp(FACE).removeAlpha().raw().toBuffer();
    const after = await (await download()).removeAlpha().raw().toBuffer();
    const row = (y: number) => [y * 64 * 3, (y + 1) * 64 * 3] as const;
    expect(after.length).toBe(before.length);
    expect(after.subarray(...row(2)).equals(before.subarray(...row(2)))).toBe(true);
    expect(after.subarray(...row(32)).equals(before.subarray(...row(32)))).toBe(false);
  });

  test('shows how it goes, and can be cancelled', async () => {
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

  test('erased and undone strokes are no hole; the page says so', async () => {
    await openFace();
    await page.click('#fill');
    expect(await status()).toBe('Paint over something first.');
    await paint(0.3, 0.7);
    await page.keyboard.press('Control+z');
    await page.click('#fill');
    await expect.poll(status).toBe('Paint over something first.');
    await paint(0.3, 0.7);
    await page.keyboard.press('e');
    await page.keyboard.press(']');
    await paint(0.2, 0.8);
    await page.click('#fill');
    await expect.poll(status).toBe('Paint over something first.');
  });

  test('without a picture at hand, the model draws one; a result can be gone on from', async () => {
    await page.click('#draw');
    await page.locator('#canvas').waitFor();
    await paint(0.4, 0.6);
    await page.click('#fill');
    await page.click('#keep', { timeout: 60_000 });
    await expect.poll(status).toBe('Paint over what is to go.');
  });

  test('says what the service says is wrong, and what no picture is', async () => {
    await openFace();
    await paint(0.3, 0.7);
    await page.click('summary');
    await page.locator('[name=steps]').evaluate((input: { value: string; max: string }) => {
      input.max = '';
      input.value = '5000';
    });
    await page.click('#fill');
    await expect.poll(status).toMatch(/steps/);
    complaints.length = 0; // the browser notes the 400
    await page.setInputFiles('#file', 'README.md');
    await expect.poll(status).toBe('This browser cannot read that as a picture.');
  });
});

function never(): never {
  throw new Error('the canvas has no place on the page');
}
