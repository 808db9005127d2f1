/** npm run openapi: writes openapi.yaml from the routes' schemas, and the types of the TypeScript client from it. */
import { writeFile } from 'node:fs/promises';
import { clientTypes, openapi } from './document.ts';

const { json, yaml } = await openapi();
await writeFile('openapi.yaml', yaml);
await writeFile('clients/typescript/src/schemas.ts', await clientTypes(json));
