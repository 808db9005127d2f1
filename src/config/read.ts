import { isSecret } from './secrets.ts';
import { type Config, SETTINGS } from './settings.ts';

/** The environment contains invalid settings. The message has one line for each. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

/**
 * Reads the settings from environment variables. An empty variable counts as not set.
 * Throws ConfigError, with one sentence for each invalid value; the values of secret settings are masked.
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const problems: string[] = [];
  const entries = Object.entries(SETTINGS).map(([name, setting]) => {
    const given = env[name] === '' ? undefined : env[name];
    const parsed = setting.schema.safeParse(given ?? setting.default);
    const value = isSecret(name) ? '***' : given;
    if (!parsed.success) problems.push(`${name} is '${value}'; it ${parsed.error.issues[0].message}.`);
    return [name, parsed.data];
  });
  if (env.WEBHOOK_ORIGINS && !env.WEBHOOK_SECRET) {
    problems.push(
      'WEBHOOK_ORIGINS is set, but WEBHOOK_SECRET is not; receivers could not verify that a webhook is genuine.',
    );
  }
  const config = Object.fromEntries(entries) as Config;
  if ((config.MAX_UPLOADS_BYTES ?? Number.POSITIVE_INFINITY) < config.MAX_UPLOAD_BYTES) {
    problems.push(
      `MAX_UPLOADS_BYTES is '${config.MAX_UPLOADS_BYTES}'; it must be at least MAX_UPLOAD_BYTES, ${config.MAX_UPLOAD_BYTES}.`,
    );
  }
  if (config.ENGINE === 'tfjs' && (config.DEVICE === 'webgpu' || config.DEVICE === 'tensorrt')) {
    problems.push(`DEVICE is '${config.DEVICE}'; with ENGINE=tfjs it must be one of auto, cpu, cuda.`);
  }
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return config;
}
