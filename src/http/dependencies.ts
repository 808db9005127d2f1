import type { Config } from '../config/settings.ts';
import type { Metrics } from '../metrics.ts';
import type { ModelRegistry } from '../registry/registry.ts';

/** What routes and plugins need. */
export interface Dependencies {
  config: Config;
  registry: ModelRegistry;
  metrics: Metrics;
}
