import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { drag, FACE, filled, holeOf, openFile, recordSpoken, status, usePages } from './open.ts';

describe.skipIf(!hasChromium)('the lesson', () => {
  const pages = usePages();

  test('slider, equation, curve and filmstrip show the same timestep', async () => {
    const page = await pages.open();
    await page.click('[data-example=face-1]');
    await filled(page, 4);
    await page.click('#tab-lesson');
    await page.locator('#strip img').first().waitFor();
    await page.locator('#t').fill('500');
    expect(await page.getAttribute('#t', 'aria-valuetext')).toBe('t 500, 70 % signal');
    expect(await page.textContent('.equation')).toBe('x_t = √ᾱ · x₀ + √(1 − ᾱ) · ε = 0.70 · x₀ + 0.71 · ε');
    expect(await page.locator('.ticks line').count()).toBe(12); // the steps of the fill

    await page.locator('.curve svg').scrollIntoViewIfNeeded();
    const curve = (await page.locator('.curve svg').boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
    await page.mouse.click(curve.x + curve.width * 0.2, curve.y + curve.height / 2);
    const dragged = Number(await page.inputValue('#t'));
    expect(dragged).toBeGreaterThan(100);
    expect(dragged).toBeLessThan(200);

    const still = page.locator('#strip button').nth(3);
    const t = (await still.textContent())?.replace('t ', '');
    await still.click();
    expect(await page.inputValue('#t')).toBe(t);
    await page.evaluate(recordSpoken);
    await page.click('#play');
    await expect.poll(() => page.inputValue('#t')).not.toBe(t);
    await page.click('#play');
    expect(await page.evaluate(() => (globalThis as unknown as { spoken: string[] }).spoken)).toEqual([]);
  });

  test('says what the network of the model predicts, and how it fills', async () => {
    const page = await pages.open();
    await page.click('#tab-lesson');
    const said = () => page.textContent('#how-reversed');
    await expect.poll(said).toMatch(/predicts v = .* To fill a hole, the network also sees the known pixels/);
    await page.route('**/v1/models', async (route) => {
      const { models } = await (await route.fetch()).json();
      const [{ card, ...first }] = models;
      const other = { ...card, prediction: 'epsilon', conditioning: 'none' };
      await route.fulfill({ json: { models: [{ ...first, default: true, card: other }] } });
    });
    await page.reload();
    await page.click('#tab-lesson');
    await expect
      .poll(said)
      .toMatch(/predicts ε\. .* To fill a hole, the known pixels are put in at every step/);
  });

  test('has an address of its own, which Back leaves and a reload keeps', async () => {
    const page = await pages.open();
    await page.click('#tab-lesson');
    expect(new URL(page.url()).hash).toBe('#lesson');
    await page.goBack();
    await expect.poll(() => page.isVisible('#editor')).toBe(true);
    await page.goForward();
    await expect.poll(() => page.isVisible('#lesson')).toBe(true);
    await page.reload();
    await expect.poll(() => page.isVisible('#lesson')).toBe(true);
    await page.click('#tab-editor');
    expect(page.url()).toBe(`${pages.service.url}/`);
  });

  test('opens while a hole is on display', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await expect.poll(() => status(page)).toMatch(/^The hole covers/);
    await page.click('#tab-lesson');
    await page.waitForTimeout(500); // the canvas has no size now; drawing on it would be an error, which fails the test
    await page.click('#tab-editor');
    expect(await holeOf(page)).toBeGreaterThan(0.02);
  });

  test('x_t is what POST /v1/diffuse answers with the same seed', async () => {
    const page = await pages.open();
    await page.click('#tab-lesson');
    const drawn = async () => {
      const url = await page
        .locator('#xt')
        .evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL('image/png'));
      return sharp(Buffer.from(url.split(',')[1], 'base64'));
    };
    // The canvas is transparent until the picture and the models have been read.
    await expect.poll(async () => (await (await drawn()).stats()).isOpaque).toBe(true);
    await page.locator('#t').fill('400');
    const body = new FormData();
    body.set('image', new Blob([readFileSync(FACE)]), 'face.png');
    body.set('timesteps', '400');
    body.set('seed', '7');
    const answer = await fetch(`${pages.service.url}/v1/diffuse`, {
      method: 'POST',
      headers: { accept: 'image/png' },
      body,
    });
    const ours = await (await drawn()).removeAlpha().raw().toBuffer();
    const theirs = await sharp(Buffer.from(await answer.arrayBuffer()))
      .removeAlpha()
      .raw()
      .toBuffer();
    expect(ours).toHaveLength(theirs.length);
    const furthest = ours.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i])), 0);
    expect(furthest).toBeLessThanOrEqual(1);
  });
});
