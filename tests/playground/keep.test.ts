import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { startProcess } from '../helpers/process.ts';
import {
  chooseThirdAndPaint,
  drag,
  FACE,
  filled,
  holedFace,
  holeOf,
  openFile,
  status,
  stored,
  usePages,
} from './open.ts';

/** In a page: the tabs whose work the browser has stored, by the keys of records and files. */
function storedTabs(): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('ddpm-inpaint');
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction(['records', 'files']);
      const requests = ['records', 'files'].map((store) => transaction.objectStore(store).getAllKeys());
      transaction.oncomplete = () => {
        opening.result.close();
        const keys = requests.flatMap(({ result }) => result.map(String));
        resolve([...new Set(keys.map((key) => key.split('/')[0]))].sort());
      };
    };
  });
}

/** In a page: deletes the files of results, as if they had never been stored. */
function loseResults(): Promise<void> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('ddpm-inpaint');
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction('files', 'readwrite');
      transaction.objectStore('files').delete(IDBKeyRange.bound('current/run/', 'current/run0'));
      transaction.oncomplete = () => {
        opening.result.close();
        resolve();
      };
    };
  });
}

/** Paints a stroke, and waits until the page has it. */
async function paint(page: Page) {
  await drag(page, [0.3, 0.5], [0.7, 0.5]);
  await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: stroke (Ctrl+Z)');
}

describe.skipIf(!hasChromium)('work is kept', () => {
  const pages = usePages();

  test('through a reload: picture, hole, results, choice and settings', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await paint(page);
    await page.click('#details summary');
    await page.fill('[name=seed]', '4294967295');
    await page.fill('[name=num_images]', '2');
    await page.click('#fill');
    await filled(page, 2);
    await page.locator('#runs button').nth(1).click();
    await stored(page);
    await page.reload();
    await expect.poll(() => status(page)).toBe('Your picture, hole and results are back.');
    expect(await page.locator('#runs button').count()).toBe(2);
    expect(await page.locator('#runs [aria-pressed=true]').getAttribute('data-candidate')).toBe('1');
    expect(await page.inputValue('[name=seed]')).toBe('4294967295');
    expect(await holeOf(page)).toBeGreaterThan(0.02);

    await stored(page);
    await page.evaluate(loseResults);
    await page.reload();
    await expect
      .poll(() => status(page))
      .toBe('Your picture and hole are back, without the results that the browser could not store.');
    expect(await page.isVisible('#results')).toBe(false);
    expect(await holeOf(page)).toBeGreaterThan(0.02);
  });

  test('when another picture is opened before it is back after a reload: the page asks first', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await paint(page);
    await stored(page);
    let load = () => {};
    const loaded = new Promise<void>((resolve) => {
      load = resolve;
    });
    await page.route('**/worker.js', async (route) => {
      await loaded;
      await route.continue();
    });
    await page.reload();
    await expect.poll(() => status(page)).toBe('Restoring your work…');
    await page.setInputFiles('#file', 'examples/face-2.png');
    load();
    await page.click('#question-no');
    await expect.poll(() => status(page)).toBe('Your picture, hole and results are back.');
    expect(await holeOf(page)).toBeGreaterThan(0.02);
  });

  test('as far as the storage has room for it: the page asks before it is left, and the rest is back', async () => {
    const page = await pages.open({ url: 'about:blank' });
    const session = await page.context().newCDPSession(page);
    const { origin } = new URL(pages.service.url);
    await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 500_000 });
    await page.addInitScript(() => {
      const { transaction } = IDBDatabase.prototype;
      IDBDatabase.prototype.transaction = function (...args) {
        const begun = transaction.apply(this, args);
        begun.addEventListener('abort', () => Object.assign(globalThis, { aborted: true }));
        return begun;
      };
    });
    await page.goto(pages.service.url);
    await openFile(page, FACE);
    await paint(page);
    await stored(page);
    const noise = await sharp({
      create: {
        width: 600,
        height: 600,
        channels: 3,
        background: '#000',
        noise: { type: 'gaussian', mean: 128, sigma: 50 },
      },
    })
      .png()
      .toBuffer();
    await page.setInputFiles('#file', { name: 'noise.png', mimeType: 'image/png', buffer: noise });
    await page.click('#question-yes');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: open a picture (Ctrl+Z)');
    await paint(page);
    await page.waitForFunction(() => 'aborted' in globalThis);
    const asked = page.waitForEvent('dialog');
    const left = page.reload();
    await (await asked).accept();
    await left;
    await expect.poll(() => status(page)).toBe('Your picture, hole and results are back.');
    expect(await page.inputValue('#curl')).toContain('face-1.png');
    expect(await holeOf(page)).toBeGreaterThan(0.02);
  });

  test('where the browser stores nothing: the page asks before it is left', async () => {
    const page = await pages.open({ url: 'about:blank' });
    await page.addInitScript(() => {
      const refuse = () => {
        throw new DOMException('The user denied permission.', 'SecurityError');
      };
      for (const name of ['indexedDB', 'sessionStorage'])
        Object.defineProperty(window, name, { get: refuse });
    });
    await page.goto(pages.service.url);
    await openFile(page, FACE);
    await paint(page);
    await expect.poll(() => status(page)).toMatch(/^The hole covers/);
    const asked = page.waitForEvent('dialog');
    const left = page.goto('about:blank');
    await (await asked).accept();
    await left;
  });

  test.each([
    'with',
    'without',
  ])('each tab keeps its own work, and what a closed tab stored is deleted a week later (%s locks)', async (locks) => {
    const first = await pages.open({ url: 'about:blank' });
    if (locks === 'without')
      await first.context().addInitScript(() => {
        // as where the page does not come from a secure origin
        Object.defineProperty(Navigator.prototype, 'locks', { value: undefined });
      });
    await first.goto(pages.service.url);
    await openFile(first, FACE);
    await drag(first, [0.3, 0.5], [0.7, 0.5]);
    await stored(first);
    const second = await first.context().newPage();
    await second.goto(pages.service.url);
    await openFile(second, 'examples/face-2.png');
    const tabs = () => first.evaluate(storedTabs);
    await expect.poll(tabs).toEqual(['current', expect.stringMatching(/^tab-/)]);
    await stored(second);

    await second.reload();
    await expect.poll(() => status(second)).toBe('Your picture, hole and results are back.');
    const third = await first.context().newPage();
    await third.goto(pages.service.url);
    await third.locator('#file').waitFor({ state: 'attached' });
    expect(await tabs()).toHaveLength(2);
    await first.close();
    await second.reload();
    await expect.poll(() => status(second)).toBe('Your picture, hole and results are back.');
    expect(await second.inputValue('#curl')).toContain('face-2.png');
    await second.close();
    await third.reload();
    expect(await third.evaluate(storedTabs)).toHaveLength(2); // that tab may be on another page
    const last = await third.context().newPage();
    await third.close();
    await last.clock.setFixedTime(Date.now() + 8 * 24 * 60 * 60 * 1000);
    await last.goto(pages.service.url);
    await expect.poll(() => status(last)).toBe('Your picture, hole and results are back.');
    expect(await last.evaluate(storedTabs)).toEqual(['current']);
    expect(await holeOf(last)).toBeGreaterThan(0.02);
  });

  test('the chosen result is kept when a fill that goes on after a reload is cancelled', async () => {
    const page = await pages.open();
    const pressed = await chooseThirdAndPaint(page);
    await page.click('#details summary');
    await page.fill('[name=steps]', '1000');
    await page.click('#fill');
    await expect.poll(() => status(page)).toMatch(/^Drawing/);
    await stored(page);
    await page.reload();
    await expect.poll(() => status(page)).toMatch(/^Drawing/);
    await page.keyboard.press('Escape');
    await expect.poll(() => status(page)).toMatch(/^Cancelled/);
    await page.click('#compare');
    await expect.poll(() => pressed.getAttribute('data-candidate')).toBe('2');
  });

  test('a fill goes on after a reload', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await paint(page);
    await page.click('#details summary');
    await page.fill('[name=steps]', '200');
    await page.fill('[name=num_images]', '1');
    await page.click('#fill');
    await expect.poll(() => status(page)).toMatch(/^Drawing/);
    await stored(page);
    expect(await status(page)).toMatch(/^Drawing/);
    await page.reload();
    await filled(page, 1);
    const { jobs } = await (await fetch(`${pages.service.url}/v1/jobs`)).json();
    expect(
      jobs.filter(({ parameters }: { parameters: { steps?: number } }) => parameters.steps === 200),
    ).toHaveLength(1);
  });

  test('a restart of the service is noticed, and the fill is sent again with the same seed', async () => {
    const port = String(20_000 + Math.floor(Math.random() * 20_000));
    const first = startProcess({ PORT: port });
    const url = await first.url;
    const page = await pages.open({ url, expected: /Failed to load resource|ERR_/ });
    await openFile(page, FACE);
    await paint(page);
    await page.click('#details summary');
    await page.fill('[name=steps]', '120');
    await page.fill('[name=num_images]', '1');
    await page.click('#fill');
    await expect.poll(() => status(page)).toMatch(/^Drawing/);
    const [{ parameters }] = (await (await fetch(`${url}/v1/jobs`)).json()).jobs;
    first.child.kill('SIGKILL');
    await expect.poll(() => status(page)).toMatch(/^The service does not answer. Trying again in \d+ s\.$/);
    await startProcess({ PORT: port }).url;
    await filled(page, 1);
    await expect.poll(() => status(page)).toContain(`120 steps, seed ${parameters.seed}.`);
  });

  test('opening another picture over unsaved work asks first, and can be undone', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await paint(page);
    await page.setInputFiles('#file', 'examples/face-2.png');
    await page.locator('#question').waitFor();
    await page.keyboard.press('Escape');
    await expect.poll(() => page.locator('#question').isVisible()).toBe(false);
    expect(await page.getAttribute('#undo', 'title')).toBe('Undo: stroke (Ctrl+Z)');
    await page.setInputFiles('#file', 'examples/face-2.png');
    await page.click('#question-yes');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: open a picture (Ctrl+Z)');
    await page.click('#undo');
    expect(await holeOf(page)).toBeGreaterThan(0.02);
  });

  test('opening another picture asks nothing where nothing was done, also after a reload', async () => {
    const page = await pages.open();
    await openFile(page, await holedFace());
    await expect.poll(() => page.evaluate(storedTabs)).toEqual(['current']);
    await page.reload();
    await expect.poll(() => status(page)).toMatch(/are back/);
    await page.click('#close');
    await page.click('[data-example=face-1]');
    await filled(page, 4);
    await openFile(page, 'examples/face-2.png');
    await expect.poll(() => page.inputValue('#curl')).toContain('face-2.png');
    await paint(page); // the results of the example do not stand for it
    await openFile(page, FACE);
    await page.locator('#question').waitFor();
  });
});
