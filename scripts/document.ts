import { buildApp } from '../src/app.ts';
import { readConfig, settingsTable } from '../src/config/settings.ts';
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

const SETTINGS_PLACE = /(<!-- settings -->\n)[\s\S]*(<!-- \/settings -->)/;

/** The README with its table of settings generated from config.ts. */
export function withSettings(readme: string): string {
  return readme.replace(SETTINGS_PLACE, (_, before, after) => `${before}${settingsTable()}\n${after}`);
}
