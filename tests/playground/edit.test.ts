import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import {
  download,
  drag,
  FACE,
  filled,
  holeOf,
  onScreen,
  openFile,
  pixels,
  status,
  usePages,
} from './open.ts';

describe.skipIf(!hasChromium)('the editor', () => {
  const pages = usePages();

  test('brush, eraser, rectangle and lasso change the hole; undo and redo take it back, in any letter case', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    const stroke = await holeOf(page);
    expect(stroke).toBeGreaterThan(0.02);
    await page.keyboard.press('R');
    await drag(page, [0.1, 0.1], [0.35, 0.35]);
    expect((await holeOf(page)) - stroke).toBeCloseTo(1 / 16, 1);
    await page.keyboard.press('l');
    await drag(page, [0.6, 0.7], [0.9, 0.7], [0.9, 0.95], [0.6, 0.95]);
    const lasso = await holeOf(page);
    expect(lasso).toBeGreaterThan(stroke + 1 / 16);
    await page.keyboard.press('E');
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    expect(await holeOf(page)).toBeLessThan(lasso);
    for (let i = 0; i < 3; i++) await page.keyboard.press('Control+Z');
    expect(await holeOf(page)).toBe(stroke);
    await page.keyboard.press('Control+Shift+z');
    await page.keyboard.press('Control+Shift+z');
    expect(await holeOf(page)).toBe(lasso);
  });

  test('a stroke that Esc takes away leaves nothing on the picture', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await page.mouse.move(600, 10); // off the canvas, without the brush's outline
    const before = await page.locator('#canvas').screenshot();
    const { x, y } = await onScreen(page, [0.3, 0.3]);
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + 200, y, { steps: 5 });
    await page.keyboard.press('Escape');
    await page.mouse.up();
    await page.mouse.move(600, 10);
    await expect.poll(async () => (await page.locator('#canvas').screenshot()).equals(before)).toBe(true);
    expect(await holeOf(page)).toBe(0);
  });

  test('a pen’s eraser takes away, and its button at the side paints nothing', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    const stroke = await holeOf(page);
    const { x, y } = await onScreen(page, [0.5, 0.45]); // a dot there reaches beyond the stroke
    const touch = (button: number) =>
      page.locator('#surface').evaluate(
        (surface, [clientX, clientY, button]) => {
          const pen = { pointerId: 1, pointerType: 'pen', button, clientX, clientY }; // 1: that of the mouse, which exists
          for (const type of ['pointerdown', 'pointerup']) surface.dispatchEvent(new PointerEvent(type, pen));
        },
        [x, y, button],
      );
    await touch(2);
    expect(await holeOf(page)).toBe(stroke);
    await touch(5);
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: erase stroke (Ctrl+Z)');
    expect(await holeOf(page)).toBeLessThan(stroke);
  });

  test('keys change nothing while the picture is covered by the ways to begin', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    const hole = await holeOf(page);
    await page.click('#close');
    for (const key of ['Delete', 'i', 'Control+z', 'Control+Enter']) await page.keyboard.press(key);
    await page.click('#close');
    expect(await page.getAttribute('#undo', 'title')).toBe('Undo: stroke (Ctrl+Z)');
    expect(await holeOf(page)).toBe(hole);
    expect(await page.textContent('#fill')).toBe('Fill');
    expect(await page.locator('#runs button').count()).toBe(0);
  });

  test('Esc, Fill, Undo and a result close the ways to begin, which would cover what they do', async () => {
    const page = await pages.open();
    const isCovered = () => page.isVisible('#empty');
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    for (const uncover of ['Escape', '#fill', '#undo', '#runs button >> nth=0', '#runs button >> nth=0']) {
      await page.click('#close');
      expect(await isCovered()).toBe(true);
      await (uncover === 'Escape' ? page.keyboard.press(uncover) : page.click(uncover));
      await expect.poll(isCovered).toBe(false);
      if (uncover === '#fill') await filled(page, 4);
    }
  });

  test('grow, shrink, invert and clear can be undone', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await page.keyboard.press('r');
    for (const [id, value] of [
      ['x', 20],
      ['y', 20],
      ['w', 10],
      ['h', 10],
    ])
      await page.fill(`#rect-${id}`, `${value}`);
    await page.click('#rect-add');
    const at = (side: number) => (side * side) / 64 / 64;
    expect(await holeOf(page)).toBe(at(10));
    await page.fill('#grow-by', '3');
    await page.click('#grow');
    await expect.poll(() => holeOf(page)).toBeGreaterThan(at(15)); // rounded corners
    expect(await holeOf(page)).toBeLessThan(at(16));
    await page.click('#shrink-mask');
    await expect.poll(() => holeOf(page)).toBeCloseTo(at(10), 3);
    await page.click('#invert');
    await expect.poll(() => holeOf(page)).toBeCloseTo(1 - at(10), 3);
    await page.click('#clear');
    await expect.poll(() => holeOf(page)).toBe(0);
    await page.click('#undo');
    await page.click('#undo');
    await expect.poll(() => holeOf(page)).toBeCloseTo(at(10), 3);
  });

  test('a mask is downloaded, opened again and used again; one of another size is refused in a sentence', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await page.fill('#hardness', '0'); // the edge has all shades of grey
    await drag(page, [0.3, 0.4], [0.7, 0.6]);
    const before = await holeOf(page);
    const mask = await download(page, '#mask-save');
    expect(await sharp(mask).metadata()).toMatchObject({
      format: 'png',
      width: 64,
      height: 64,
      space: 'b-w',
    });
    await page.click('#clear');
    await page.setInputFiles('#mask-file', { name: 'mask.png', mimeType: 'image/png', buffer: mask });
    await expect.poll(() => status(page)).toMatch(/^The hole covers \d/);
    expect(await holeOf(page)).toBe(before);
    expect((await pixels(await download(page, '#mask-save'))).data).toEqual((await pixels(mask)).data);
    await page.fill('[name=num_images]', '1');
    await page.click('#fill');
    await filled(page, 1);
    await page.click('#keep');
    await page.click('#reuse');
    expect(await holeOf(page)).toBe(before);
    const larger = await sharp(mask).resize(80, 80).png().toBuffer();
    await page.setInputFiles('#mask-file', { name: 'mask.png', mimeType: 'image/png', buffer: larger });
    await expect
      .poll(() => page.textContent('#error-mask'))
      .toBe('The mask is 80 × 80 px, but the picture is 64 × 64 px. Choose a mask of the same size.');
  });

  test('the brush shows its true size and hardness; wheel, keys and buttons zoom; space and two fingers pan', async () => {
    const page = await pages.open({ hasTouch: true });
    await openFile(page, FACE);
    const zoom = async () => Number.parseFloat((await page.textContent('#zoom-value')) ?? '');
    const centre = await onScreen(page, [0.5, 0.5]);
    await page.mouse.move(centre.x, centre.y);
    const cursor = async () => (await page.locator('#brush-cursor').boundingBox())?.width ?? 0;
    expect(await cursor()).toBeCloseTo((8 * (await zoom())) / 100, 0);
    const inner = (await page.locator('#brush-cursor div').boundingBox())?.width ?? 0;
    expect(inner / (await cursor())).toBeCloseTo(0.8, 1);
    const start = await zoom();
    await page.mouse.wheel(0, -300);
    await expect.poll(zoom).toBeGreaterThan(start);
    await page.keyboard.press('1');
    await expect.poll(zoom).toBe(100);
    await page.click('#zoom-in');
    await expect.poll(zoom).toBe(125);
    await page.keyboard.press('0');
    await expect.poll(zoom).toBe(start);

    const corner = () => onScreen(page, [0, 0]);
    const before = await corner();
    await page.locator('#surface').focus();
    await page.keyboard.down(' ');
    await drag(page, [0.5, 0.5], [0.6, 0.6]);
    await page.keyboard.up(' ');
    expect((await corner()).x).toBeGreaterThan(before.x + 20);
    await page.keyboard.press('0');

    const touch = await page.context().newCDPSession(page);
    const fingers = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...points: number[][]) =>
      touch.send('Input.dispatchTouchEvent', {
        type,
        touchPoints: points.map(([x, y], id) => ({ x, y, id })),
      });
    const { x, y } = centre;
    await fingers('touchStart', [x - 20, y]);
    await fingers('touchStart', [x - 20, y], [x + 20, y]);
    for (let by = 20; by <= 100; by += 20) await fingers('touchMove', [x - by, y], [x + by, y]);
    await fingers('touchEnd');
    await expect.poll(zoom).toBeGreaterThan(2 * start);
    expect(await holeOf(page)).toBe(0); // two fingers paint nothing
  });

  test('at 100 % every pixel of the picture is one of the screen, however large the window is', async () => {
    const page = await pages.open();
    const raw = { width: 64, height: 64, channels: 1 } as const;
    const checks = Uint8Array.from({ length: 64 * 64 }, (_, i) => 255 * ((i + (i >> 6)) % 2));
    const buffer = await sharp(checks, { raw }).png().toBuffer();
    await openFile(page, { name: 'checks.png', mimeType: 'image/png', buffer });
    /** How many opaque pixels of the canvas are black, white and something between. */
    const counts = async () => {
      const url = await page
        .locator('#canvas')
        .evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL('image/png'));
      const data = await sharp(Buffer.from(url.split(',')[1], 'base64'))
        .raw()
        .toBuffer();
      const found = { black: 0, white: 0, grey: 0 };
      for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 0) found[data[i] === 0 ? 'black' : data[i] === 255 ? 'white' : 'grey']++;
      return found;
    };
    for (const side of [850, 851]) {
      await page.setViewportSize({ width: side + 350, height: side });
      await page.keyboard.press('1');
      await expect.poll(counts).toEqual({ black: 2048, white: 2048, grey: 0 });
      await page.keyboard.press('0');
    }
  });

  test('dragging the frame outwards makes the picture larger, and its new border is filled', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await page.keyboard.press('x');
    const handle = (await page.locator('[data-side=right]').boundingBox()) ?? {
      x: 0,
      y: 0,
      width: 0,
      height: 0,
    };
    const scale = Number.parseFloat((await page.textContent('#zoom-value')) ?? '') / 100;
    const at = { x: handle.x + handle.width / 2, y: handle.y + handle.height / 2 };
    await page.mouse.move(at.x, at.y);
    await page.mouse.down();
    await page.mouse.move(at.x + 16 * scale, at.y, { steps: 4 });
    await page.mouse.up();
    expect(await page.inputValue('#frame-right')).toBe('16');
    await page.locator('[data-side=top]').press('ArrowUp');
    expect(await page.inputValue('#frame-top')).toBe('8');
    await page.fill('[name=num_images]', '1');
    await page.click('#fill');
    await filled(page, 1);
    expect(await page.getAttribute('#download', 'download')).toBe('face-1-filled.png');
    const { width, height } = await sharp(await download(page, '#download')).metadata();
    expect({ width, height }).toEqual({ width: 80, height: 72 });
  });

  test('a frame that is not applied stays in sight with every tool, and goes with its picture', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await openFile(page, 'examples/face-2.png');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: open a picture (Ctrl+Z)');
    await page.keyboard.press('x');
    await page.fill('#frame-left', '8');
    await page.locator('[name=tool][value=brush]').check({ force: true });
    expect(await page.isVisible('#frame-handles')).toBe(false);
    expect(await page.isVisible('#frame-line')).toBe(true);
    await page.click('#undo');
    await expect.poll(() => page.isVisible('#frame-line')).toBe(false);
    expect(await page.inputValue('#frame-left')).toBe('0');
  });
});
