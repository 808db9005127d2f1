import type { Config } from '../config/settings.ts';
import type { Metrics } from '../metrics.ts';
import type { ModelRegistry } from '../registry/registry.ts';

/** What the routes are put together from. */
export interface Parts {
  config: Config;
  registry: ModelRegistry;
  metrics: Metrics;
}
