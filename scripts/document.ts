import { buildApp } from '../src/app.ts';
import { readConfig } from '../src/config/read.ts';
import { SETTINGS } from '../src/config/settings.ts';
import { createMetrics } from '../src/metrics.ts';
import type { ModelRegistry } from '../src/registry/registry.ts';

/** The OpenAPI document, as served at GET /openapi.yaml. No model is loaded. */
export async function openapiYaml(): Promise<string> {
  const registry = { close: async () => {} } as ModelRegistry;
  const app = await buildApp({ config: readConfig({}), registry, metrics: createMetrics() });
  await app.ready();
  const yaml = app.swagger({ yaml: true });
  await app.close();
  return yaml;
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
