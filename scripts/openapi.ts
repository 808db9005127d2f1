/** npm run openapi: writes openapi.yaml from the routes' schemas. */
import { writeFile } from 'node:fs/promises';
import { openapiYaml } from './document.ts';

await writeFile('openapi.yaml', await openapiYaml());
