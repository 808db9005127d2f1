import { describe, expect, test } from 'vitest';
import { hasChromium } from '../helpers/browser.ts';
import { FACE, usePages } from './open.ts';

describe.skipIf(!hasChromium)('Swagger UI', () => {
  const pages = usePages();

  /** Opens an operation with "Try it out". */
  const open = async () => {
    const page = await pages.open({ url: `${pages.service.url}/docs` });
    await page.locator('.opblock').first().waitFor();
    const operation = async (id: string) => {
      const block = page.locator(`.opblock[id$="-${id}"]`);
      await block.locator('.opblock-summary-control').click();
      await block.locator('.try-out__btn').click();
      return block;
    };
    return { page, operation };
  };

  test('has our name and icon', async () => {
    const { page } = await open();
    expect(await page.title()).toBe('ddpm-inpaint: API');
    expect(await page.getAttribute('link[rel=icon]', 'href')).toBe('./static/theme/icon.svg');
  });

  test('shows one problem as an example, not one for every status', async () => {
    const { operation } = await open();
    const block = await operation('inpaint');
    const errors = block.locator('.responses-table tr.response:not([data-code^="2"])');
    expect(await errors.count()).toBeGreaterThan(4);
    expect(await errors.locator('.model-example:visible').count()).toBe(1);
    expect(await block.textContent()).not.toContain('9007199254740991');
  });

  test.each([
    ['inpaint', 200],
    ['diffuse', 200],
    ['createJob', 202],
    ['editImage', 200],
    ['varyImage', 200],
  ])('%s: with a picture chosen, the form can be sent as it opens', async (id, status) => {
    const { page, operation } = await open();
    const block = await operation(id);
    const row = block.locator('tr[data-property-name=mask]');
    for (const [i, file] of [FACE, 'examples/mask-1.png'].entries()) {
      const input = i === 0 ? block.locator('input[type=file]').first() : row.locator('input[type=file]');
      if ((id === 'inpaint' || id === 'createJob') && i === 1) await input.setInputFiles(file);
      if (i === 0) await input.setInputFiles(file);
    }
    await block.locator('button.execute').click();
    const answer = page.locator('.live-responses-table .response-col_status');
    await expect.poll(() => answer.first().textContent(), { timeout: 60_000 }).toContain(String(status));
  });

  test.each([
    ['sample', 200],
    ['inpaint', 200],
    ['diffuse', 200],
    ['createJob', 202],
    ['editImage', 200],
    ['generateImage', 200],
    ['listJobs', 200],
    ['listModels', 200],
  ])('%s: the JSON example can be sent as it opens', async (id, status) => {
    const { page, operation } = await open();
    const block = await operation(id);
    const type = block.locator('.opblock-section-request-body select.content-type');
    if ((await type.count()) > 0 && (await type.locator('option').count()) > 1)
      await type.selectOption('application/json');
    await block.locator('button.execute').click();
    const answer = page.locator('.live-responses-table .response-col_status');
    await expect.poll(() => answer.first().textContent(), { timeout: 60_000 }).toContain(String(status));
  });
});
