import type { Locator, Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { EXAMPLE_PICTURE } from '../../src/http/schemas/fields.ts';
import { hasChromium } from '../helpers/browser.ts';
import { usePages } from './open.ts';

/** A picture with a transparent hole, which every operation can take. */
const PICTURE = {
  name: 'picture.png',
  mimeType: 'image/png',
  buffer: Buffer.from(EXAMPLE_PICTURE.split(',')[1], 'base64'),
};

describe.skipIf(!hasChromium)('Swagger UI', () => {
  const pages = usePages();

  const open = async () => {
    const page = await pages.open({
      url: `${pages.service.url}/docs`,
      viewport: { width: 1200, height: 2000 },
    });
    await page.locator('.opblock').first().waitFor({ timeout: 60_000 });
    return page;
  };
  /** Opens an operation with "Try it out", and closes the one that is open: each open one slows Swagger UI down. */
  const tryOut = async (page: Page, id: string) => {
    for (const open of await page.locator('.opblock.is-open .opblock-summary-control').all())
      await open.click();
    const block = page.locator(`.opblock[id$="-${id}"]`);
    await block.locator('.opblock-summary-control').click();
    await block.locator('.try-out__btn').click();
    return block;
  };
  const execute = async (block: Locator) => {
    await block.locator('button.execute').click();
    const answer = block.locator('.live-responses-table tbody td.response-col_status').first();
    await answer.waitFor({ timeout: 60_000 });
    return Number.parseInt((await answer.textContent()) ?? '', 10);
  };

  test('has our name and icon, and shows one problem as an example, not one for every status', async () => {
    const page = await open();
    expect(await page.title()).toBe('ddpm-inpaint: API');
    expect(await page.getAttribute('link[rel=icon]', 'href')).toBe('./static/theme/icon.svg');
    const block = await tryOut(page, 'inpaint');
    const errors = block.locator('.responses-table tr.response:not([data-code^="2"])');
    await errors.first().waitFor();
    expect(await errors.count()).toBeGreaterThan(4);
    expect(await errors.locator('.model-example:visible').count()).toBe(1);
    expect(await block.textContent()).not.toContain('9007199254740991');
  });

  test('with a picture chosen, every form can be sent as it opens', async () => {
    const page = await open();
    for (const id of ['inpaint', 'diffuse', 'createJob', 'editImage', 'varyImage']) {
      const block = await tryOut(page, id);
      const type = block.locator('.opblock-section-request-body .content-type');
      if ((await type.locator('option').count()) > 1) await type.selectOption('multipart/form-data');
      const add = block.locator('tr[data-property-name=image] button', { hasText: 'Add' });
      if (
        (await add.count()) > 0 &&
        (await block.locator('tr[data-property-name=image] input[type=file]').count()) === 0
      )
        await add.click();
      await block.locator('input[type=file]').first().setInputFiles(PICTURE);
      expect([id, await execute(block)]).toEqual([id, id === 'createJob' ? 202 : 200]);
    }
  }, 300_000);

  test('every JSON example can be sent as it opens', async () => {
    const page = await open();
    for (const id of [
      'sample',
      'inpaint',
      'diffuse',
      'createJob',
      'generateImage',
      'listJobs',
      'listModels',
      'getModel',
      'modelInfer',
      'ioPaintSwitchModel',
    ]) {
      const block = await tryOut(page, id);
      const type = block.locator('.opblock-section-request-body .content-type');
      if ((await type.locator('option').count()) > 1) await type.selectOption('application/json');
      expect([id, await execute(block)]).toEqual([id, id === 'createJob' ? 202 : 200]);
    }
  }, 480_000);
});
