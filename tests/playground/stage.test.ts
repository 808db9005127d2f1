import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { drag, onScreen, openFile, usePages } from './open.ts';

const solid = async (width: number, height: number, background: string) => {
  const buffer = await sharp({ create: { width, height, channels: 3, background } })
    .png()
    .toBuffer();
  return { name: 'solid.png', mimeType: 'image/png', buffer };
};

/** The colour of the canvas at a point of the picture, which is in fractions of its sides. */
async function colourAt(page: Page, point: [number, number]): Promise<number[]> {
  const { x, y } = await onScreen(page, point);
  return page.locator('#canvas').evaluate(
    (canvas, at) => {
      const { left, top } = canvas.getBoundingClientRect();
      const context = (canvas as HTMLCanvasElement).getContext('2d');
      return [...(context?.getImageData(at.x - left, at.y - top, 1, 1).data ?? [])].slice(0, 3);
    },
    { x, y },
  );
}

/** Whether the picture itself, rather than something over it, is what a pointer meets there. */
const isFree = async (page: Page, point: [number, number]) =>
  page.evaluate(
    ({ x, y }) => document.elementFromPoint(x - 2, y - 2)?.closest('#surface') !== null,
    await onScreen(page, point),
  );

/** Width of the picture by its height. */
async function aspect(page: Page): Promise<number> {
  const [from, to] = await Promise.all([onScreen(page, [0, 0]), onScreen(page, [1, 1])]);
  return (to.x - from.x) / (to.y - from.y);
}

/** Whether a pointer meets the element in its middle. */
function isOnTop(element: Element): boolean {
  const { x, y, width, height } = element.getBoundingClientRect();
  return document.elementFromPoint(x + width / 2, y + height / 2) === element;
}

describe.skipIf(!hasChromium)('the stage', () => {
  const pages = usePages();

  test('while one of two holes is previewed, the other one stays marked', async () => {
    const page = await pages.open({ expected: /willReadFrequently/ });
    const job = { id: 'two', parameters: { seed: 1, model: 'm@1' }, images: [] };
    const green = (await solid(32, 64, '#00ff00')).buffer.toString('base64');
    const box = { left: 0, top: 0, width: 32, height: 64 };
    const progress = {
      step: 1,
      of: 9,
      eta_ms: 9e4,
      timestep: 9,
      preview: `data:image/png;base64,${green}`,
      box,
    };
    const body = `event: progress\ndata: ${JSON.stringify(progress)}\n\n`;
    await page.route('**/v1/jobs', (route) => route.fulfill({ status: 202, json: job }));
    await page.route('**/v1/jobs/two', (route) => route.fulfill({ json: job }));
    let asked = 0;
    await page.route('**/v1/jobs/two/events', (route) => {
      asked += 1;
      if (asked === 1) void route.fulfill({ contentType: 'text/event-stream', body }); // then it waits
    });
    await openFile(page, await solid(64, 64, '#0000ff'));
    await page.keyboard.press('r');
    await drag(page, [0.1, 0.1], [0.3, 0.9]);
    await drag(page, [0.7, 0.1], [0.9, 0.9]);
    await expect.poll(async () => (await colourAt(page, [0.8, 0.5]))[0]).toBeGreaterThan(100);
    await page.click('#fill');
    await expect.poll(() => colourAt(page, [0.2, 0.5])).toEqual([0, 255, 0]);
    expect((await colourAt(page, [0.8, 0.5]))[0]).toBeGreaterThan(100);
    expect(await colourAt(page, [0.5, 0.5])).toEqual([0, 0, 255]);
    await page.keyboard.press('Escape');
  });

  test.each([
    [1024, 768],
    [1200, 850],
    [1440, 900],
  ])('nothing covers a fitted picture in a window of %i x %i px', async (width, height) => {
    const page = await pages.open({ viewport: { width, height } });
    for (const [w, h] of [
      [64, 64],
      [400, 300],
      [300, 400],
      [800, 300],
    ] as const) {
      await openFile(page, await solid(w, h, '#0000ff'));
      await expect.poll(() => aspect(page)).toBeCloseTo(w / h, 1); // it is this one
      await expect.poll(() => isFree(page, [1, 1])).toBe(true);
    }
    await page.locator('[name=tool][value=frame]').check({ force: true });
    await expect.poll(() => page.locator('[data-side=bottom]').evaluate(isOnTop)).toBe(true);
  });

  test('zooming neither loses the picture nor makes it a speck', async () => {
    const page = await pages.open();
    await openFile(page, await solid(400, 300, '#0000ff'));
    const stage = await page.locator('#stage').boundingBox();
    if (!stage) throw new Error('there is no stage');
    const picture = async () => {
      const [from, to] = await Promise.all([onScreen(page, [0, 0]), onScreen(page, [1, 1])]);
      return { from, to };
    };
    const fitted = await picture();
    const corner = { x: stage.x + 5, y: stage.y + 5 };
    await page.mouse.move(corner.x, corner.y);
    for (let i = 0; i < 10; i++) await page.mouse.wheel(0, 500);
    const shrunk = async () => {
      const { from, to } = await picture();
      return (to.x - from.x) / (fitted.to.x - fitted.from.x);
    };
    await expect.poll(shrunk).toBeCloseTo(1 / 4, 2);
    for (let i = 0; i < 10; i++) await page.mouse.wheel(0, -500);
    await expect.poll(async () => (await picture()).from.x).toBeLessThanOrEqual(stage.x + stage.width - 40);
    expect((await picture()).from.y).toBeLessThanOrEqual(stage.y + stage.height - 40);
    expect(await page.textContent('#zoom-value')).toBe('4000 %');
  });

  test.each([
    'after',
    'before',
  ])('a hand that touches the glass %s the pen disturbs no stroke', async (when) => {
    const page = await pages.open({ hasTouch: true, expected: /willReadFrequently/ });
    await openFile(page, await solid(64, 64, '#0000ff'));
    const session = await page.context().newCDPSession(page);
    const zoom = await page.textContent('#zoom-value');
    const hand = async (type: 'touchStart' | 'touchMove' | 'touchEnd', at?: [number, number]) => {
      const touchPoints = at ? [await onScreen(page, at)] : [];
      await session.send('Input.dispatchTouchEvent', { type, touchPoints });
    };
    const pen = async (type: 'mousePressed' | 'mouseMoved' | 'mouseReleased', at: [number, number]) => {
      const { x, y } = await onScreen(page, at);
      const held = { button: 'left', buttons: 1, clickCount: 1, pointerType: 'pen' } as const;
      await session.send('Input.dispatchMouseEvent', { type, x, y, ...held });
    };
    if (when === 'before') await hand('touchStart', [0.8, 0.8]);
    await pen('mousePressed', [0.2, 0.2]);
    if (when === 'after') await hand('touchStart', [0.8, 0.8]);
    await pen('mouseMoved', [0.4, 0.2]);
    await hand('touchMove', [0.9, 0.9]);
    await pen('mouseMoved', [0.6, 0.2]);
    await hand('touchEnd');
    await pen('mouseReleased', [0.6, 0.2]);
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: stroke (Ctrl+Z)');
    await expect.poll(async () => (await colourAt(page, [0.4, 0.2]))[0]).toBeGreaterThan(100);
    expect((await colourAt(page, [0.85, 0.85]))[0]).toBe(0);
    expect(await page.textContent('#zoom-value')).toBe(zoom);
  });

  test('a border whose width is typed is announced, and stays in sight; the tool moves nothing', async () => {
    const page = await pages.open({ viewport: { width: 1024, height: 768 } });
    await openFile(page, await solid(64, 64, '#0000ff'));
    const top = async () => (await page.locator('#stage').boundingBox())?.y;
    const before = await top();
    for (const tool of ['rectangle', 'frame']) {
      await page.locator(`[name=tool][value=${tool}]`).check({ force: true });
      await expect.poll(() => page.isVisible(`#${tool}-options`)).toBe(true);
      expect(await top()).toBe(before);
    }
    await page.fill('#frame-left', '100');
    await expect.poll(() => page.textContent('#status')).toMatch(/^100 px are added at the left\./);
    const stage = await page.locator('#stage').boundingBox();
    const left = async () => (await page.locator('#frame-line').boundingBox())?.x ?? 0;
    await expect.poll(left).toBeGreaterThan(stage?.x ?? 0);
    await page.mouse.move(500, 400);
    await page.mouse.wheel(0, -500);
    await expect.poll(left).toBeLessThan(stage?.x ?? 0);
    await page.click('#zoom-fit');
    await expect.poll(left).toBeGreaterThan(stage?.x ?? 0);
  });
});
