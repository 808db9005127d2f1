import { execFileSync } from 'node:child_process';

/** Builds the page before the integration tests: the service serves it from dist/playground. */
export default function setup(): void {
  execFileSync(process.execPath, ['scripts/build-page.js'], { stdio: 'inherit' });
}
