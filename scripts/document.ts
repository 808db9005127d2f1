import { buildApp } from '../src/app.ts';
import { readConfig, settingsTable } from '../src/config.ts';
import { createMetrics } from '../src/metrics.ts';
import type { ModelRegistry } from '../src/registry/registry.ts';

/** The OpenAPI document of the service, as it would answer GET /openapi.yaml; no model is needed for that. */
export async function openapiYaml(): Promise<string> {
  const registry = { close: async () => {} } as ModelRegistry;
  const app = await buildApp({ config: readConfig({}), registry, metrics: createMetrics() });
  await app.ready();
  const yaml = app.swagger({ yaml: true });
  await app.close();
  return yaml;
}

const SETTINGS_PLACE = /(<!-- settings -->\n)[\s\S]*(<!-- \/settings -->)/;

/** The README with its table of settings as config.ts has it. */
export function withSettings(readme: string): string {
  return readme.replace(SETTINGS_PLACE, (_, before, after) => `${before}${settingsTable()}\n${after}`);
}
