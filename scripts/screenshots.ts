/**
 * npm run screenshots -- URL: writes docs/page.png and docs/lesson.png, the README's pictures of the page, which the running service
 * at URL serves (http://localhost:8000 unless given).
 */
import type { Page } from 'playwright-core';
import { openBrowser } from '../tests/helpers/browser.ts';

const url = process.argv[2] ?? 'http://localhost:8000';
/** A fill of the photograph takes some seconds for each core. */
const FILL_MS = 600_000;

const browser = await openBrowser();
try {
  await photograph();
  await lesson();
} finally {
  await browser.close();
}

/** A photograph and its fill, side by side. */
async function photograph(): Promise<void> {
  const page = await filled('portrait', { width: 1280, height: 800 });
  await page.click('#compare');
  await page.screenshot({ path: 'docs/page.png' });
}

/** The lesson after a fill of a face, with its timesteps and estimates. */
async function lesson(): Promise<void> {
  const page = await filled('face-1', { width: 1100, height: 800 });
  await page.click('#tab-lesson');
  await page.locator('#strip img').first().waitFor();
  await page.locator('#t').fill('300');
  await page.screenshot({ path: 'docs/lesson.png', fullPage: true });
}

/** A page of this size on which an example has been filled. */
async function filled(example: string, viewport: { width: number; height: number }): Promise<Page> {
  const page = await browser.newPage({ viewport });
  await page.goto(url);
  await page.click(`[data-example=${example}]`);
  await page.locator('#compare').waitFor({ timeout: FILL_MS });
  return page;
}
