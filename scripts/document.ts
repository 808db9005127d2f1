import openapiTS, { astToString, type OpenAPI3 } from 'openapi-typescript';
import { buildApp } from '../src/app.ts';
import { readConfig } from '../src/config/read.ts';
import { SETTINGS } from '../src/config/settings.ts';
import { createMetrics } from '../src/metrics.ts';
import type { ModelRegistry } from '../src/registry/registry.ts';

/** The OpenAPI document, as served at GET /openapi.json and /openapi.yaml. No model is loaded. */
export async function openapi() {
  const registry = { close: async () => {} } as ModelRegistry;
  const app = await buildApp({ config: readConfig({}), registry, metrics: createMetrics() });
  await app.ready();
  const documents = { json: app.swagger() as OpenAPI3, yaml: app.swagger({ yaml: true }) };
  await app.close();
  return documents;
}

/** The types of the TypeScript client: those of all schemas of the document. */
export async function clientTypes({ components }: OpenAPI3): Promise<string> {
  const document: OpenAPI3 = { openapi: '3.1.0', info: { title: '', version: '' }, paths: {}, components };
  const types = await openapiTS(document, { defaultNonNullable: false });
  return `/** Made from openapi.yaml: npm run openapi. */\n${astToString(types)}`;
}

const TABLE_PLACE = /(<!-- settings -->\n)[\s\S]*(<!-- \/settings -->)/;

/** The README with its table of settings generated from SETTINGS. */
export function withSettings(readme: string): string {
  return readme.replace(TABLE_PLACE, (_, before, after) => `${before}${settingsTable()}\n${after}`);
}

/** The settings as a Markdown table. */
function settingsTable(): string {
  const rows = Object.entries(SETTINGS).map(
    ([name, setting]) =>
      `| \`${name}\` | ${setting.default ? `\`${setting.default}\`` : ''} | ${setting.description} |`,
  );
  return ['| variable | default | meaning |', '| --- | --- | --- |', ...rows].join('\n');
}
