import { accessSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { available } from './optional.ts';

/** Paths used by the packages of Debian, Ubuntu and Chrome. The environment variable CHROMIUM takes precedence. */
const PLACES = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];

const chromiumPath = PLACES.find((place) => place && exists(place));

/** Whether there is a Chromium to test with. */
export const hasChromium = available(
  chromiumPath !== undefined,
  'no Chromium is installed: apt-get install chromium, or set CHROMIUM to its path',
);

/** Starts a browser with a temporary profile. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

function exists(file: string): boolean {
  try {
    accessSync(file);
    return true;
  } catch {
    return false;
  }
}
