import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import { startApp, type TestApp } from '../helpers/app.ts';
import { openBrowser } from '../helpers/browser.ts';

export const FACE = 'examples/face-1.png';
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export interface PageOptions extends BrowserContextOptions {
  url?: string;
  /** What the browser's console may say: a pattern of expected errors. Anything else fails the test. */
  expected?: RegExp;
}

/** One service and one browser for the tests of a file, and pages in contexts of their own. */
export function usePages(env: Record<string, string> = {}) {
  const used = {} as { service: TestApp; browser: Browser };
  beforeAll(async () => {
    [used.service, used.browser] = await Promise.all([startApp(env), openBrowser()]);
  });
  afterAll(async () => {
    await used.browser.close();
    await used.service.app.close();
  });
  return Object.assign(used, {
    /** Opens the page. The test fails if the browser complains about anything. */
    async open({ url = used.service.url, expected, ...options }: PageOptions = {}): Promise<Page> {
      const context = await used.browser.newContext({ viewport: { width: 1200, height: 850 }, ...options });
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on('console', (message) => {
        if (!['error', 'warning'].includes(message.type()) || expected?.test(message.text())) return;
        complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(String(error)));
      onTestFinished(async () => {
        await context.close();
        expect(complaints).toEqual([]);
      });
      await page.goto(url);
      return page;
    },
  });
}

/** Opens a file, and waits until it is on the canvas. */
export async function openFile(page: Page, file: Parameters<Page['setInputFiles']>[1]): Promise<void> {
  await page.setInputFiles('#file', file);
  await page.locator('#surface').waitFor();
  await expect.poll(() => status(page)).not.toMatch(/Opening|^$/);
}

/** A face with a transparent square. */
export async function holedFace() {
  const square = { width: 20, height: 20, channels: 4, background: '#000' } as const;
  const buffer = await sharp(FACE)
    .ensureAlpha()
    .composite([{ input: { create: square }, blend: 'dest-out', left: 20, top: 20 }])
    .png()
    .toBuffer();
  return { name: 'holed.png', mimeType: 'image/png', buffer };
}

/** Drags over the canvas; each point is in fractions of the picture's sides. */
export async function drag(page: Page, ...points: [x: number, y: number][]): Promise<void> {
  const [first, ...rest] = await Promise.all(points.map((point) => onScreen(page, point)));
  await page.mouse.move(first.x, first.y);
  await page.mouse.down();
  for (const { x, y } of rest) await page.mouse.move(x, y, { steps: 5 });
  await page.mouse.up();
}

/** Where a point of the picture (in fractions of its sides) is on the screen. The frame's line lies on the picture's edge. */
export async function onScreen(page: Page, [x, y]: [number, number]) {
  const box = await page.evaluate(() => {
    const line = document.getElementById('frame-line') as HTMLElement;
    const wasHidden = line.hidden;
    line.hidden = false;
    const { left, top, width, height } = line.getBoundingClientRect();
    line.hidden = wasHidden;
    return { left, top, width, height };
  });
  return { x: box.left + x * box.width, y: box.top + y * box.height };
}

export const status = (page: Page) => page.locator('#status').textContent();

/** Waits until so many results are listed and the fill has ended. */
export async function filled(page: Page, count: number): Promise<void> {
  await expect.poll(() => page.locator('#runs button').count(), { timeout: 100_000 }).toBe(count);
  await expect.poll(() => page.textContent('#fill')).toBe('Fill');
}

/** Fills an example, chooses the third result, and paints on it. Resolves to the thumbnail that is chosen. */
export async function chooseThirdAndPaint(page: Page): Promise<Locator> {
  await page.click('[data-example=face-2]');
  await filled(page, 4);
  const pressed = page.locator('#runs [aria-pressed=true]');
  await page.locator('#runs button').nth(2).click();
  await expect.poll(() => pressed.getAttribute('data-candidate')).toBe('2');
  await drag(page, [0.1, 0.9], [0.3, 0.9]);
  return pressed;
}

/** Whether the page would ask before it is left. */
export const asksToStay = (page: Page): Promise<boolean> =>
  page.evaluate(() => !dispatchEvent(new Event('beforeunload', { cancelable: true })));

/** Waits until the browser has stored everything: from then on the page no longer asks before it is left. */
export async function stored(page: Page): Promise<void> {
  await expect.poll(() => asksToStay(page), { timeout: 20_000 }).toBe(false);
}

/** The bytes behind a button that downloads. The focus stays where it is. */
export async function download(page: Page, selector: string): Promise<Buffer> {
  const click = page.locator(selector).evaluate((button) => (button as HTMLElement).click());
  const [file] = await Promise.all([page.waitForEvent('download'), click]);
  return readFileSync(await file.path());
}

/** In a page: lists from now on, as `spoken`, what a screen reader is told. */
export function recordSpoken(): void {
  const spoken: string[] = [];
  Object.assign(globalThis, { spoken });
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const element = target instanceof Element ? target : target.parentElement;
      const region = element?.closest<HTMLElement>('output, [role=status], [role=alert], [aria-live]');
      if (region && region.ariaLive !== 'off') spoken.push(region.textContent ?? '');
    }
  }).observe(document.body, { childList: true, characterData: true, subtree: true });
}

/** The RGB values of a picture. */
export async function pixels(file: Buffer | string) {
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { data, ...info };
}

/** Share of a mask that is white. */
export async function holeOf(page: Page): Promise<number> {
  await page.locator('#mask-menu').evaluate((menu) => {
    (menu as HTMLDetailsElement).open = true;
  });
  const { data } = await sharp(await download(page, '#mask-save'))
    .toColourspace('b-w')
    .raw()
    .toBuffer({ resolveWithObject: true });
  return data.filter((value) => value >= 128).length / data.length;
}

/** The rules of axe that the page breaks now. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    const result = await axe.run();
    return result.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  });
}
