import { createRequire } from 'node:module';

/** Name and version of the service, as in package.json. */
export const { name: NAME, version: VERSION } = createRequire(import.meta.url)('../package.json') as {
  name: string;
  version: string;
};
