import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { download, drag, filled, holeOf, openFile, status, usePages } from './open.ts';

/** The main thread may not be used for longer at a time, in milliseconds of processor time: see "longTasks". */
const LONG_MS = 50;

describe.skipIf(!hasChromium)('large photographs', () => {
  const pages = usePages({ MAX_PIXELS: '20000000' });

  /** A photograph of 12 megapixels, as a file: playwright would hand over bytes on the page's main thread. */
  const photo = async () => {
    const file = path.join(await mkdtemp(path.join(tmpdir(), 'photo-')), 'photo.jpg');
    await sharp('src/playground/examples/portrait.jpg')
      .resize(4000, 3000, { fit: 'cover' })
      .jpeg()
      .toFile(file);
    return file;
  };

  test('opening, painting, zooming, filling and looking at 12 megapixels never blocks the page', async () => {
    const page = await pages.open();
    const session = await page.context().newCDPSession(page);
    const longTasks = await traceTasks(session);
    await openFile(page, await photo());
    await drag(page, [0.4, 0.5], [0.45, 0.5]);
    await expect.poll(() => status(page)).toMatch(/^The hole covers/);
    await page.mouse.wheel(0, -400);
    await page.keyboard.press('0');
    await page.fill('[name=num_images]', '2');
    await page.click('#details summary');
    await page.selectOption('[name=strategy]', 'crop');
    await page.fill('[name=steps]', '4');
    await page.click('#fill');
    await filled(page, 2);
    await page.locator('#runs button').nth(1).click();
    await page.click('#compare');
    await page.locator('#divider-range').fill('20');
    const { width, height } = await sharp(await download(page, '#download')).metadata();
    expect({ width, height }).toEqual({ width: 4000, height: 3000 });
    const tasks = await longTasks();
    console.log(
      `longest tasks of the page: ${tasks
        .slice(0, 5)
        .map((ms) => ms.toFixed(0))
        .join(', ')} ms`,
    );
    expect(tasks.filter((ms) => ms > LONG_MS)).toEqual([]);
  });

  test('an extension that would be too large is refused at once, and nothing is filled', async () => {
    const page = await pages.open();
    await openFile(page, await photo());
    await page.keyboard.press('x');
    await page.fill('#frame-left', '4000');
    await page.click('#fill');
    await expect
      .poll(() => page.textContent('#error-fill'))
      .toBe('The extended picture would have 24 megapixels. The service accepts up to 20.');
    await page.waitForTimeout(500);
    expect(await page.textContent('#fill')).toBe('Fill');
  });

  test('a picture that is too large is refused when it is opened, and a smaller copy is offered', async () => {
    const page = await pages.open();
    const buffer = await sharp({ create: { width: 6000, height: 5000, channels: 3, background: '#888' } })
      .png()
      .toBuffer();
    await page.setInputFiles('#file', { name: 'huge.png', mimeType: 'image/png', buffer });
    await expect
      .poll(() => page.textContent('#error-open'))
      .toBe('This picture has 30 megapixels. The service accepts up to 20.');
    await page.click('#shrink');
    await page.locator('#surface').waitFor();
    await expect.poll(() => page.isVisible('#error-open')).toBe(false);
  });

  test('the smaller copy of a picture with a transparent hole has the hole', async () => {
    const page = await pages.open();
    const buffer = await sharp({ create: { width: 3000, height: 5000, channels: 4, background: '#888' } })
      .extend({ right: 3000, background: '#0000' })
      .png({ compressionLevel: 1 })
      .toBuffer();
    await page.setInputFiles('#file', { name: 'holed.png', mimeType: 'image/png', buffer });
    await page.click('#shrink');
    await page.locator('#surface').waitFor();
    expect(await page.inputValue('#curl')).toContain('image=@holed-smaller.png');
    expect(await holeOf(page)).toBeCloseTo(0.5, 2);
  });
});

interface Session {
  send(method: 'Tracing.start', parameters: object): Promise<unknown>;
  send(method: 'Tracing.end'): Promise<unknown>;
  on(event: 'Tracing.dataCollected', listener: (data: { value: object[] }) => void): unknown;
  once(event: 'Tracing.tracingComplete', listener: () => void): unknown;
}

/**
 * Watches the tasks of the page's main thread. What the observer of long tasks measures is the time on the clock, which
 * grows with other work on the machine. A trace also has the processor time of each task: that is what the page is to
 * answer for.
 */
async function traceTasks(session: Session): Promise<() => Promise<number[]>> {
  interface Event {
    name: string;
    ph: string;
    pid: number;
    tid: number;
    tdur?: number;
    args: { name?: string };
  }
  const events: Event[] = [];
  session.on('Tracing.dataCollected', ({ value }) => events.push(...(value as Event[])));
  await session.send('Tracing.start', { categories: 'toplevel,__metadata', transferMode: 'ReportEvents' });
  return async () => {
    const complete = new Promise<void>((resolve) => session.once('Tracing.tracingComplete', resolve));
    await session.send('Tracing.end');
    await complete;
    const threads = events.filter(({ ph, args }) => ph === 'M' && args.name === 'CrRendererMain');
    const isMain = ({ pid, tid }: Event) =>
      threads.some((thread) => thread.pid === pid && thread.tid === tid);
    const tasks = events.filter((event) => event.ph === 'X' && isMain(event) && event.tdur !== undefined);
    expect(tasks.length).toBeGreaterThan(100); // otherwise nothing was measured
    return tasks.map(({ tdur = 0 }) => tdur / 1000).sort((a, b) => b - a);
  };
}
