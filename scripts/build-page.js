// Builds the page into dist/playground: one script, one worker and one style sheet, with source maps.
import { cpSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const source = fileURLToPath(new URL('../src/playground', import.meta.url));
const target = fileURLToPath(new URL('../dist/playground', import.meta.url));

rmSync(target, { recursive: true, force: true });
for (const file of ['index.html', 'icon.svg', 'examples'])
  cpSync(`${source}/${file}`, `${target}/${file}`, { recursive: true });
await build({
  entryPoints: {
    main: `${source}/main.ts`,
    worker: `${source}/worker/worker.ts`,
    style: `${source}/style.css`,
  },
  outdir: target,
  bundle: true,
  minify: true,
  sourcemap: true,
  format: 'esm',
  target: ['es2023'],
  logLevel: 'warning',
});
