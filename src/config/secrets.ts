import querystring from 'node:querystring';
import { type Config, SETTINGS, type Setting } from './settings.ts';

/** OpenTelemetry reads these itself; they often contain a token. */
const TRACING_SECRETS = ['OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_TRACES_HEADERS'];

/** Names of the environment variables whose values must not be shown. */
const SECRETS = [...Object.keys(SETTINGS).filter(isSecret), ...TRACING_SECRETS];

/** Whether the setting of this name is secret. */
export function isSecret(name: string): boolean {
  const setting: Setting | undefined = SETTINGS[name as keyof typeof SETTINGS];
  return setting?.secret === true;
}

/**
 * Texts that must not appear in the log: the values of secret variables, and the parts of them that are secret by
 * themselves, namely passwords in URLs (as written and percent-decoded) and single entries of API_KEYS.
 */
export function secretsIn(env: NodeJS.ProcessEnv): string[] {
  const values = SECRETS.flatMap((name) => env[name] || []);
  const passwords = values.flatMap((value) => {
    const password = URL.canParse(value) ? new URL(value).password : '';
    // querystring.unescape does not throw on malformed escapes; decodeURIComponent does.
    return [password, querystring.unescape(password)];
  });
  return [...values, ...passwords, ...(env.API_KEYS ?? '').split(',')];
}

/** Deletes the secret variables from an environment, so that child processes do not inherit them. */
export function forgetSecrets(env: NodeJS.ProcessEnv): void {
  for (const name of SECRETS) delete env[name];
}

/** The settings with secret values masked, for the log. */
export function maskSecrets(config: Config): Record<string, unknown> {
  const entries = Object.entries(config).map(([name, value]) => [
    name,
    isSecret(name) && value !== undefined ? '***' : value,
  ]);
  return Object.fromEntries(entries);
}
