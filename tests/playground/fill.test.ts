import { execFile, spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { readMetadata } from '../helpers/metadata.ts';
import { available } from '../helpers/optional.ts';
import {
  chooseThirdAndPaint,
  download,
  drag,
  FACE,
  filled,
  holedFace,
  openFile,
  pixels,
  status,
  stored,
  usePages,
} from './open.ts';

const hasCurl = available(
  ['curl', 'jq'].every((command) => spawnSync(command, ['--version']).status === 0),
  'curl or jq is not installed',
);

describe.skipIf(!hasChromium)('filling on the page', () => {
  const pages = usePages();

  test('an example is one click away from a filled hole', async () => {
    const page = await pages.open();
    await page.click('[data-example=face-1]');
    await filled(page, 4);
    await expect
      .poll(() => status(page))
      .toMatch(/^Filled 4 times in \d+\.\d s: celeba-inpaint-64@\d+, \w+, \d+ steps, seed \d+\.$/);
    const { data } = await pixels(await download(page, '#download'));
    expect(data.equals((await pixels(FACE)).data)).toBe(false);
  });

  test('a painted hole is filled; pixels outside of it stay the same, and the file names its parameters', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await page.fill('[name=num_images]', '2');
    await page.click('#fill');
    await filled(page, 2);
    await page.locator('#runs button').nth(1).click();
    const file = await download(page, '#download');
    const before = (await pixels(FACE)).data;
    const after = (await pixels(file)).data;
    const row = (y: number) => [y * 64 * 3, (y + 1) * 64 * 3] as const;
    expect(after.subarray(...row(2)).equals(before.subarray(...row(2)))).toBe(true);
    expect(after.subarray(...row(32)).equals(before.subarray(...row(32)))).toBe(false);
    const parameters = await readMetadata(file);
    expect(parameters).toMatchObject({ candidate: 1, sampler: expect.any(String) });

    // Opened again, the file brings back its seed and settings.
    await page.setInputFiles('#file', { name: 'again.png', mimeType: 'image/png', buffer: file });
    await expect.poll(() => page.inputValue('[name=seed]')).toBe(String(parameters?.seed));
    expect(await page.inputValue('[name=steps]')).toBe(String(parameters?.steps));
    expect(await page.locator('#curl').inputValue()).toContain(`seed=${parameters?.seed}`);
    expect(
      await page.evaluate(() => [...document.querySelectorAll('select')].map((each) => each.selectedIndex)),
    ).not.toContain(-1);
  });

  test.skipIf(!hasCurl)(
    'the command makes the result on display, whatever the settings have become',
    async () => {
      const page = await pages.open();
      const name = `a, b;c "d' e.png`;
      await openFile(page, { name, mimeType: 'image/png', buffer: await readFile(FACE) });
      await drag(page, [0.3, 0.5], [0.7, 0.5]);
      await page.fill('[name=num_images]', '2');
      for (const menu of ['#mask-menu', '#details']) await page.click(`${menu} summary`);
      await page.fill('[name=steps]', '6');
      await page.click('#fill');
      await filled(page, 2);
      await page.fill('[name=steps]', '3');
      const folder = await mkdtemp(path.join(tmpdir(), 'curl-'));
      await writeFile(path.join(folder, 'mask.png'), await download(page, '#mask-save'));
      await copyFile(FACE, path.join(folder, name));
      for (const index of [1, 0]) {
        await page.locator('#runs button').nth(index).click();
        await expect.poll(() => page.inputValue('#curl')).toContain(`num_images=${index + 1}`);
        const wanted = await pixels(await download(page, '#download'));
        await promisify(execFile)('sh', ['-c', await page.inputValue('#curl')], { cwd: folder });
        expect((await pixels(path.join(folder, 'filled.png'))).data.equals(wanted.data)).toBe(true);
      }
    },
  );

  test('says before and when it starts how long a slow model takes', async () => {
    const page = await pages.open();
    await page.route('**/v1/models', async (route) => {
      const response = await route.fetch();
      const { models, ...rest } = await response.json();
      const slow = { ...models[0], default: true, speed: { seconds_per_fill: 155 }, engine: { workers: 4 } };
      const repaint = {
        ...slow,
        ref: 'repaint@1',
        default: false,
        card: { ...slow.card, conditioning: 'none' },
      };
      await route.fulfill({ json: { ...rest, models: [slow, repaint] } });
    });
    const job = { id: 'slow', parameters: { seed: 1, model: 'slow@1' }, images: [], estimate_seconds: 310 };
    await page.route('**/v1/jobs', (route) => route.fulfill({ status: 202, json: job }));
    await page.route('**/v1/jobs/slow', (route) => route.fulfill({ json: job }));
    await page.route('**/v1/jobs/slow/events', () => {}); // it waits
    await page.reload();
    await openFile(page, FACE);
    await page.fill('[name=num_images]', '2');
    await expect.poll(() => page.textContent('#estimate')).toBe('About 10 min on the server.'); // two of four workers draw
    await page.click('#details summary');
    await page.fill('[name=steps]', '1');
    await expect.poll(() => page.locator('#estimate').textContent()).toMatch(/^About \d+ s on the server\.$/);
    await page.fill('[name=steps]', '');
    const buffer = await sharp(FACE).resize(300, 200).png().toBuffer();
    await openFile(page, { name: 'larger.png', mimeType: 'image/png', buffer });
    await expect.poll(() => page.isVisible('#estimate')).toBe(false); // nobody knows in how many windows
    await page.selectOption('[name=model]', 'repaint@1');
    await expect.poll(() => page.isVisible('#estimate')).toBe(true); // it fills in none
    await page.selectOption('[name=model]', '');
    await expect.poll(() => page.isVisible('#estimate')).toBe(false);
    await page.selectOption('[name=strategy]', 'crop');
    await expect.poll(() => page.isVisible('#estimate')).toBe(true);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await page.click('#fill');
    await expect.poll(() => status(page)).toBe('Starting… The fill takes about 5 min on the server.');
    expect(await page.isVisible('#estimate')).toBe(false);
    await page.keyboard.press('Escape');
    await expect.poll(() => status(page)).toBe('Cancelled.');
  });

  test('shows the picture coming out of the noise, and is cancelled with Esc', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await drag(page, [0.2, 0.5], [0.8, 0.5]);
    const before = await page.locator('#canvas').screenshot();
    await page.click('#details summary');
    await page.fill('[name=steps]', '1000');
    await page.click('#fill');
    await expect.poll(() => status(page)).toMatch(/^Drawing: \d+ %, about \d+ (s|min) left\.$/);
    expect(await page.title()).toMatch(/^\d+ %, ddpm-inpaint$/);
    await expect.poll(async () => (await page.locator('#canvas').screenshot()).equals(before)).toBe(false);
    await page.keyboard.press('Escape');
    await expect.poll(() => status(page)).toBe('Cancelled.');
    await expect.poll(() => pages.service.registry.get().scheduler?.depth).toEqual({ waiting: 0, active: 0 });
    expect(await page.textContent('#fill')).toBe('Fill');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('fill');
    expect(await page.title()).toBe('ddpm-inpaint');
  });

  test('Enter in a field starts a fill and cancels none; where the hole is grown, it grows the hole', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await drag(page, [0.2, 0.5], [0.8, 0.5]);
    for (const menu of ['#mask-menu', '#details']) await page.click(`${menu} summary`);
    const sent: string[] = [];
    page.on('request', (request) => {
      if (/v1\/jobs(\/[^/]+)?$/.test(request.url())) sent.push(request.method());
    });
    await page.fill('#grow-by', '3');
    await page.press('#grow-by', 'Enter');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: grow by 3 px (Ctrl+Z)');
    await page.fill('[name=steps]', '1000');
    await page.press('[name=steps]', 'Enter');
    await expect.poll(() => status(page)).toMatch(/^Drawing: \d+ %/);
    for (const field of ['[name=steps]', '[name=num_images]', '#grow-by']) await page.press(field, 'Enter');
    await page.focus('#fill');
    await page.keyboard.press('Control+Enter');
    await expect.poll(() => status(page)).toMatch(/^Drawing: [1-9]/);
    await page.keyboard.press('Enter'); // on the button, it does what the button says
    await expect.poll(() => status(page)).toBe('Cancelled.');
    expect(await page.textContent('#fill')).toBe('Fill');
    expect(sent).toEqual(['POST', 'DELETE']);
    await page.press('#grow-by', 'Control+Enter');
    await expect.poll(() => status(page)).toMatch(/^Drawing: \d+ %/);
    await page.keyboard.press('Escape');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: grow by 3 px (Ctrl+Z)');
  });

  test('results stay while the hole is painted further, and undo takes a choice and a fill back', async () => {
    const page = await pages.open();
    await page.click('[data-example=face-2]');
    await filled(page, 4);
    const pressed = () => page.locator('#runs [aria-pressed=true]').getAttribute('data-candidate');
    await page.locator('#runs button').nth(2).click();
    expect(await pressed()).toBe('2');
    await page.keyboard.press('Control+z');
    await expect.poll(pressed).toBe('0');
    await page.keyboard.press('Control+z'); // the fill
    await expect.poll(() => page.locator('#runs [aria-pressed=true]').count()).toBe(0);
    await page.keyboard.press('Control+Shift+Z');
    await page.keyboard.press('Control+y');
    await expect.poll(pressed).toBe('2');
    await drag(page, [0.1, 0.9], [0.3, 0.9]);
    await expect.poll(() => page.locator('#runs [aria-pressed=true]').count()).toBe(0);
    await page.fill('[name=num_images]', '1');
    await page.click('#fill');
    await filled(page, 5);
    await page.click('#keep');
    await expect.poll(() => status(page)).toMatch(/^This is the picture now/);
    expect(await page.locator('#runs button').count()).toBe(5);
    expect(await page.getAttribute('#download', 'download')).toBe('face-2-filled.png'); // the picture now
    expect(await page.textContent('#picture-info')).toBe('face-2-filled.png, 64 × 64 px');
    expect((await download(page, '#download')).length).toBeGreaterThan(0);
    await page.keyboard.press('Control+z');
    await expect.poll(pressed).toBe('0');
    await page.keyboard.press('Control+z'); // the fill: its hole is on display
    await expect.poll(() => page.locator('#runs [aria-pressed=true]').count()).toBe(0);
    await page.click('#keep');
    await expect
      .poll(() => page.getAttribute('#undo', 'title'))
      .toBe('Undo: continue from a result (Ctrl+Z)');
  });

  test('the chosen result is continued from after a stroke over it, and after a reload', async () => {
    const page = await pages.open();
    const pressed = await chooseThirdAndPaint(page);
    await expect.poll(() => pressed.count()).toBe(0);
    await stored(page);
    await page.reload();
    await expect.poll(() => status(page)).toBe('Your picture, hole and results are back.');
    const downloaded = await pixels(await download(page, '#download'));
    await page.dblclick('#keep');
    await expect.poll(() => status(page)).toMatch(/^This is the picture now/);
    await page.click('#undo'); // one step, for two clicks
    await expect.poll(() => pressed.getAttribute('data-candidate')).toBe('2');
    expect(await pixels(await download(page, '#download'))).toEqual(downloaded);
  });

  test('before and after, where results differ, and what the model saw', async () => {
    const page = await pages.open();
    await page.click('[data-example=face-1]');
    await filled(page, 4);
    let last = await page.locator('#canvas').screenshot();
    for (const button of ['#compare', '#uncertainty', '#windows']) {
      await page.click(button);
      expect(await page.getAttribute(button, 'aria-pressed')).toBe('true');
      const before = last;
      await expect.poll(async () => (await page.locator('#canvas').screenshot()).equals(before)).toBe(false);
      last = await page.locator('#canvas').screenshot();
    }
    await page.locator('#divider-range').fill('90');
    await expect.poll(async () => (await page.locator('#canvas').screenshot()).equals(last)).toBe(false);
  });

  test('a view of the result is on after one click or key, also while the hole is on display', async () => {
    const page = await pages.open();
    await page.click('[data-example=face-1]');
    await filled(page, 4);
    const views = ['#compare', '#uncertainty', '#windows'];
    const pressed = () => Promise.all(views.map((id) => page.getAttribute(id, 'aria-pressed')));
    for (const view of views) await page.click(view);
    await drag(page, [0.1, 0.9], [0.3, 0.9]);
    await expect.poll(pressed).toEqual(['false', 'false', 'false']);
    await page.keyboard.press('c');
    await expect.poll(pressed).toEqual(['true', 'true', 'true']);
    await page.keyboard.press('c');
    await expect.poll(pressed).toEqual(['false', 'true', 'true']);
    await drag(page, [0.1, 0.9], [0.3, 0.9]);
    await expect.poll(pressed).toEqual(['false', 'false', 'false']);
    await page.click('#uncertainty');
    await expect.poll(pressed).toEqual(['false', 'true', 'true']);
  });

  test('a transparent part is the hole, on a checkerboard, and is filled', async () => {
    const page = await pages.open();
    await openFile(page, await holedFace());
    expect(await status(page)).toBe('The transparent part is the hole. Fill it, or paint over more.');
    await page.fill('[name=num_images]', '1');
    await page.click('#fill');
    await filled(page, 1);
    const { isOpaque } = await sharp(await download(page, '#download')).stats();
    expect(isOpaque).toBe(true);
  });

  test('copies the result', async () => {
    const page = await pages.open({ permissions: ['clipboard-read', 'clipboard-write'] });
    await page.click('[data-example=face-3]');
    await filled(page, 4);
    await page.click('#copy');
    await expect.poll(() => status(page)).toMatch(/^Copied/);
    const types = await page.evaluate(async () =>
      (await navigator.clipboard.read()).flatMap(({ types }) => types),
    );
    expect(types).toContain('image/png');
  });
});
