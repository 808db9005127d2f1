import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, openBrowser } from '../helpers/browser.ts';
import { ORIGINAL, VARIANTS } from './damaged.ts';

/** Shown by browsers, but a checksum says that the pixels are not those that were written: docs/decisions/0008. */
const WRONG_CHECKSUM = [
  'wrong CRC of the data',
  'wrong checksum in the data',
  'no checksum in the data',
  'a bit of the data, right CRC',
];

/** Runs in the browser: what it makes of each picture. Text, because these tests are compiled without types of the DOM. */
const SHOW = `async (source) => {
  const img = new Image();
  img.src = source;
  const loaded = await img.decode().then(() => true, () => false);
  const file = await (await fetch(source)).blob();
  const complete = await createImageBitmap(file).then(() => true, () => false);
  const canvas = new OffscreenCanvas(img.naturalWidth || 1, img.naturalHeight || 1);
  const context = canvas.getContext('2d');
  if (loaded) context.drawImage(img, 0, 0);
  return { loaded, complete, data: [...context.getImageData(0, 0, canvas.width, canvas.height).data] };
}`;

interface Shown {
  /** An img element shows it, perhaps only in part. */
  loaded: boolean;
  /** createImageBitmap accepts it. */
  complete: boolean;
  /** RGBA. */
  data: number[];
}

/** Share of the pixels that differ visibly from those of the original, 0..1. */
function wrongPixels({ data }: Shown): number {
  const pixels = ORIGINAL.width * ORIGINAL.height;
  if (data.length !== pixels * 4) return 1;
  let wrong = 0;
  for (let p = 0; p < pixels; p++) {
    const off = [0, 1, 2].map((c) => Math.abs(data[p * 4 + c] - ORIGINAL.data[p * 3 + c]));
    if (Math.max(...off) > 50) wrong++;
  }
  return wrong / pixels;
}

describe.skipIf(!hasChromium)('files with faults, compared with Chromium', () => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    browser = await openBrowser();
    page = await browser.newPage();
  });
  afterAll(() => browser?.close());

  test.each(
    Object.entries(VARIANTS),
  )('%s: what is accepted is shown, and what is shown completely is accepted', async (_, make) => {
    const { type, accepted, refused } = await make();
    const show = (file: Buffer): Promise<Shown> =>
      page.evaluate(`(${SHOW})('data:${type};base64,${file.toString('base64')}')`);
    for (const [fault, file] of Object.entries(accepted)) {
      expect([fault, (await show(file)).loaded]).toEqual([fault, true]);
    }
    for (const [fault, file] of Object.entries(refused)) {
      const shown = await show(file);
      const whole = shown.complete && wrongPixels(shown) < 0.01;
      expect([fault, whole]).toEqual([fault, WRONG_CHECKSUM.includes(fault) && whole]);
    }
  });
});
