/** npm run readme: writes the README's table of settings from src/config/settings.ts. */
import { readFile, writeFile } from 'node:fs/promises';
import { withSettings } from './document.ts';

await writeFile('README.md', withSettings(await readFile('README.md', 'utf8')));
