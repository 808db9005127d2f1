import { accessSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Paths used by the packages of Debian, Ubuntu and Chrome. The environment variable CHROMIUM takes precedence. */
const PLACES = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];

/** Path of an installed Chromium. If undefined, tests that need a browser are skipped. */
export const chromiumPath = PLACES.find((place) => place && exists(place));

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
