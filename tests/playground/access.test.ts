import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { drag, FACE, filled, holeOf, openFile, status, usePages, violations } from './open.ts';

describe.skipIf(!hasChromium)('the page for everybody', () => {
  const pages = usePages();

  test('with the keyboard alone: open an example, paint, fill, choose; the focus is never lost', async () => {
    const page = await pages.open();
    const focus = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.tagName);
    await page.locator('[data-example=face-1]').focus();
    await page.keyboard.press('Enter');
    await page.locator('#surface').waitFor();
    await expect.poll(focus).toBe('surface');
    await filled(page, 4);
    expect(await focus()).toBe('surface');
    await page.keyboard.press('Delete');
    expect(await holeOf(page)).toBe(0);
    await page.locator('#surface').focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.down(' ');
    for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowRight');
    await page.keyboard.up(' ');
    expect(await holeOf(page)).toBeGreaterThan(0.01);
    await page.locator('[name=num_images]').fill('1');
    await page.locator('#fill').focus();
    await page.keyboard.press('Enter');
    await filled(page, 5);
    expect(await focus()).toBe('fill');
    await page.locator('#runs button').nth(2).focus();
    await page.keyboard.press('Enter');
    await expect
      .poll(() => page.locator('#runs [aria-pressed=true]').getAttribute('data-candidate'))
      .toBe('1');
    await page.locator('#keep').focus();
    await page.keyboard.press('Enter');
    await expect.poll(focus).toBe('surface');
  });

  test('the focus stays on the page when what has it is hidden, and Space paints as soon as the picture has it', async () => {
    const page = await pages.open();
    const focus = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.tagName);
    await openFile(page, FACE);
    await page.locator('[name=tool]:checked').focus();
    await page.keyboard.press('Shift+Tab');
    expect(await focus()).toBe('zoom-full');
    for (let i = 0; i < 4; i++) await page.keyboard.press('Shift+Tab');
    expect(await focus()).toBe('surface');
    await page.keyboard.press('Space');
    await expect.poll(() => page.getAttribute('#undo', 'title')).toBe('Undo: stroke (Ctrl+Z)');
    await page.locator('#zoom-fit').focus();
    for (const key of ['Delete', 'i', 'r', '1']) await page.keyboard.press(key); // they are keys of the picture
    expect(await page.getAttribute('#undo', 'title')).toBe('Undo: stroke (Ctrl+Z)');
    expect(await page.isChecked('[value=brush]')).toBe(true);
    await page.click('#zoom-fit');
    expect(await focus()).toBe('surface');
    await page.keyboard.press('x');
    await page.locator('[data-side=left]').focus();
    await page.keyboard.press('Control+Enter'); // while it is filled, it has no frame
    await expect.poll(focus).toBe('surface');
    await filled(page, 4);
    await page.locator('#close').click();
    await page.locator('[data-example=face-2]').focus();
    await page.keyboard.press('Enter');
    await page.locator('#question').waitFor();
    await page.keyboard.press('Enter');
    await expect.poll(focus).toBe('surface');
    await filled(page, 8);
    await page.locator('#compare').click();
    await page.locator('#divider-range').focus();
    await page.keyboard.press('Control+z'); // before the fill, there is nothing to compare
    await expect.poll(focus).toBe('surface');
  });

  test('the live region speaks at most once a second during a fill, and of its end as soon as the results are there', async () => {
    const page = await pages.open();
    await openFile(page, FACE);
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await expect.poll(() => status(page)).toMatch(/^The hole covers/);
    await page.evaluate(() => {
      const [status, runs] = ['status', 'runs'].map((id) => document.getElementById(id) as Node);
      const seen = { spoken: [] as number[], atResults: '' as string | null };
      Object.assign(globalThis, { seen });
      const spoken = () => seen.spoken.push(performance.now());
      new MutationObserver(spoken).observe(status, { childList: true, characterData: true, subtree: true });
      const atResults = () => {
        seen.atResults = status.textContent;
      };
      new MutationObserver(atResults).observe(runs, { childList: true });
    });
    await page.click('#fill');
    await filled(page, 4);
    await page.waitForTimeout(1500);
    const { spoken, atResults } = await page.evaluate(
      () => (globalThis as unknown as { seen: { spoken: number[]; atResults: string } }).seen,
    );
    expect(atResults).toMatch(/^Filled 4 times/);
    const gaps = spoken.slice(1, -1).map((at, i) => at - spoken[i]);
    expect(gaps.filter((gap) => gap > 1 && gap < 900)).toEqual([]); // several records of one change have no gap
  });

  test.each(['light', 'dark'] as const)('axe finds nothing in any state (%s)', async (colorScheme) => {
    const page = await pages.open({ colorScheme });
    await expect.poll(() => page.textContent('#model-hint')).toContain('celeba');
    expect(await violations(page)).toEqual([]);
    await openFile(page, FACE);
    for (const menu of await page.locator('details summary').all()) await menu.click();
    expect(await violations(page)).toEqual([]);
    for (const tool of ['rectangle', 'frame']) {
      await page.locator(`[name=tool][value=${tool}]`).check({ force: true });
      expect(await violations(page)).toEqual([]);
    }
    await page.click('#fill'); // without a hole: an error
    expect(await violations(page)).toEqual([]);
    await page.locator('[name=tool][value=brush]').check({ force: true });
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await page.click('#fill');
    expect(await violations(page)).toEqual([]); // while it runs
    await filled(page, 4);
    for (const id of ['#compare', '#uncertainty', '#windows']) await page.click(id);
    expect(await violations(page)).toEqual([]);
    await page.setInputFiles('#file', 'examples/face-2.png');
    await page.locator('#question').waitFor();
    expect(await violations(page)).toEqual([]);
    await page.click('#question-no');
    await page.click('#tab-lesson');
    await page.locator('#strip img').first().waitFor();
    expect(await violations(page)).toEqual([]);
  });

  test('with forced colours the chosen tool is outlined, and Undo without a step is grey', async () => {
    const page = await pages.open({ forcedColors: 'active' });
    await openFile(page, FACE);
    const outlines = () =>
      page
        .locator('#tools span')
        .evaluateAll((tools) => tools.map((tool) => getComputedStyle(tool).outlineStyle));
    expect((await outlines()).filter((style) => style === 'solid')).toHaveLength(1);
    const colour = (selector: string) =>
      page.locator(selector).evaluate((element) => getComputedStyle(element).color);
    expect(await colour('#undo')).not.toBe(await colour('#zoom-fit'));
  });

  test('what an empty field stands for is as legible as a hint', async () => {
    const page = await pages.open({ colorScheme: 'dark' });
    await openFile(page, FACE);
    await page.click('#details summary');
    const colours = await page.evaluate(() =>
      [getComputedStyle(document.getElementById('field-seed') as Element, '::placeholder')]
        .concat(getComputedStyle(document.getElementById('hint-seed') as Element))
        .map(({ color, opacity }) => `${color} ${opacity}`),
    );
    expect(colours[0]).toBe(colours[1]);
  });

  test('Fill stays in sight on a small phone', async () => {
    const page = await pages.open({ viewport: { width: 320, height: 560 }, hasTouch: true, isMobile: true });
    await openFile(page, FACE);
    const bottom = () =>
      page.evaluate(() => document.getElementById('fill')?.getBoundingClientRect().bottom ?? Number.NaN);
    expect(await bottom()).toBeLessThanOrEqual(560);
    for (const menu of ['#mask-menu', '#details']) await page.locator(`${menu} summary`).click();
    await page.evaluate(() => scrollTo(0, 500));
    expect(await bottom()).toBeLessThanOrEqual(560);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
  });

  test.each([
    [true, false],
    [false, true],
  ])('the list of keys is hidden on a phone and not where the page is enlarged (touch: %s)', async (hasTouch, shown) => {
    const page = await pages.open({ viewport: { width: 320, height: 560 }, hasTouch, isMobile: hasTouch });
    await openFile(page, FACE);
    expect(await page.isVisible('#keys-menu')).toBe(shown);
  });

  test('on a phone the zoom bar leaves the picture and the handles of Extend free', async () => {
    const page = await pages.open({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await openFile(page, FACE);
    await page.locator('[name=tool][value=frame]').check({ force: true });
    const handle = await page.locator('[data-side=bottom]').boundingBox();
    const zoom = await page.locator('#zoom').boundingBox();
    expect((handle?.y ?? Number.NaN) + (handle?.height ?? 0)).toBeLessThanOrEqual(zoom?.y ?? 0);
  });

  test('on a phone the picture comes first, Fill is in sight, and targets are at least 24 px', async () => {
    const page = await pages.open({ viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true });
    await page.tap('[data-example=face-1]');
    await filled(page, 4);
    const top = async (selector: string) => (await page.locator(selector).boundingBox())?.y ?? Number.NaN;
    expect(await top('#stage')).toBeLessThan(await top('#toolbar'));
    expect(await top('#fill')).toBeLessThan(760);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    const small = await page.evaluate(() =>
      [
        ...document.querySelectorAll(
          'button, a, select, summary, input:not([type=radio]), label:has([type=radio])',
        ),
      ]
        .filter((element) => element.checkVisibility())
        .map((element) => ({
          id: element.id || element.outerHTML.slice(0, 80),
          box: element.getBoundingClientRect(),
        }))
        .filter(({ box }) => box.width > 0 && (box.width < 24 || box.height < 24))
        .map(({ id }) => id),
    );
    expect(small).toEqual([]);
    expect(await violations(page)).toEqual([]);
  });
});
