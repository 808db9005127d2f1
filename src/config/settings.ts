import { isIP } from 'node:net';
import querystring from 'node:querystring';
import { z } from 'zod';
import { apiKeys, parseRate } from '../api-keys.ts';
import { parseSplit } from '../model/traffic-split.ts';

/** A setting: an environment variable's meaning, default and range. */
interface Setting {
  schema: z.ZodType;
  description: string;
  /** As it would be written in the environment; undefined: not set. */
  default: string | undefined;
  /** Never shown. */
  secret?: boolean;
}

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((n) => n >= min && n <= max, `must be a whole number from ${min} to ${max}`);

const split = z.string().superRefine((text, context) => {
  try {
    parseSplit(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
});

const oneOf = <const T extends readonly string[]>(values: T) =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` });

const flag = oneOf(['true', 'false']).transform((value) => value === 'true');

const isOrigin = (text: string) =>
  /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;

const origins = (others: string[], error: string) =>
  z
    .string()
    .transform((list) => list.split(',').flatMap((origin) => origin.trim() || []))
    .refine((list) => list.every((origin) => others.includes(origin) || isOrigin(origin)), { error });

/** Addresses and networks of the proxies in front: what they say of the client's address is believed. */
const proxies = z
  .string()
  .transform((list) => list.split(',').map((proxy) => proxy.trim()))
  .refine((list) => list.every(isNetwork), {
    error:
      'must be addresses or networks such as 10.0.0.0/8, or loopback, linklocal, uniquelocal, ' +
      'separated by commas',
  });

function isNetwork(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [address, prefix = '0', ...more] = text.split('/');
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  return more.length === 0 && /^\d+$/.test(prefix) && Number(prefix) <= bits;
}

const MEGA = 1_000_000;

/** Every setting, in one place: the README's table and the start-up log are made from it. */
export const SETTINGS = {
  HOST: { schema: z.string(), default: '0.0.0.0', description: 'Address to listen on' },
  PORT: {
    schema: wholeNumber(0, 65_535),
    default: '8000',
    description: 'Port to listen on; `0` picks a free one',
  },
  LOG_LEVEL: {
    schema: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    default: 'info',
    description:
      'Lowest level that is logged: `fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`',
  },
  MODEL_DIR: {
    schema: z.string(),
    default: 'models',
    description: 'Folder with the models, as `<id>/<version>/model.json`',
  },
  DEFAULT_MODEL: {
    schema: split.optional(),
    default: undefined,
    description:
      'Model for requests that name none: `id`, `id@version` or a weighted split such as ' +
      '`id@1:90,@2:10`. If unset, SERVING_FILE decides; without that file, the newest version of the ' +
      'first id in alphabetical order',
  },
  SERVING_FILE: {
    schema: z.string().optional(),
    default: undefined,
    description:
      'File that `npm run promote` writes and the service follows. If unset, `serving.json` in MODEL_DIR',
  },
  RELOAD_INTERVAL_MS: {
    schema: wholeNumber(0, 3_600_000),
    default: '10000',
    description:
      'Milliseconds between checks of MODEL_DIR and SERVING_FILE for changes; `0` checks only on SIGHUP',
  },
  MODEL_IDLE_MS: {
    schema: wholeNumber(0, 7 * 24 * 3_600_000),
    default: '300000',
    description:
      'Milliseconds without a request after which a model that is not the default is unloaded; `0` ' +
      'never unloads',
  },
  ENGINE: {
    schema: oneOf(['auto', 'onnx', 'tfjs']),
    default: 'auto',
    description: 'Library that evaluates the network: `auto`, `onnx` or `tfjs`',
  },
  DEVICE: {
    schema: oneOf(['auto', 'cpu', 'webgpu', 'cuda', 'tensorrt']),
    default: 'auto',
    description:
      'Device that the network runs on: `auto` (the fastest that works), `cpu`, `webgpu`, `cuda` or ' +
      '`tensorrt`',
  },
  ENGINE_FALLBACK: {
    schema: flag,
    default: 'false',
    description: 'Whether to switch to the next runtime when the workers of the current one keep failing',
  },
  MAX_BATCH: {
    schema: z.union([z.literal('auto').transform(() => undefined), wholeNumber(1, 1024)], {
      error: 'must be auto or a whole number from 1 to 1024',
    }),
    default: 'auto',
    description:
      'Maximum number of rows in one evaluation of the network. `auto`: 1 on a CPU, measured at start on a GPU',
  },
  QUEUE_LIMIT: {
    schema: wholeNumber(8, 100_000), // one request may ask for eight
    default: '64',
    description: 'Maximum number of images waiting or running, for each model; beyond it, requests get 429',
  },
  JOB_LIMIT: {
    schema: wholeNumber(1, 1_000_000),
    default: '1000',
    description: 'Maximum number of jobs waiting or running; beyond it, new jobs get 429',
  },
  JOB_TTL_MS: {
    schema: wholeNumber(1000, 7 * 24 * 3_600_000),
    default: '3600000',
    description: 'Milliseconds for which a finished job and its pictures are kept',
  },
  REDIS_URL: {
    schema: z
      .string()
      .refine((url) => /^rediss?:\/\/./.test(url) && URL.canParse(url), {
        error: 'must be like redis://host:6379 or rediss://user:password@host:6379',
      })
      .optional(),
    default: undefined,
    description:
      'Redis that stores jobs and rate-limit counters for all replicas. If unset, each process keeps ' +
      'its own in memory',
    secret: true,
  },
  WEBHOOK_ORIGINS: {
    schema: origins([], 'must be origins such as https://example.org, separated by commas'),
    default: '',
    description: 'Comma-separated origins that job webhooks may be sent to; none by default',
  },
  WEBHOOK_SECRET: {
    schema: z
      .string()
      .regex(
        /^(whsec_(?:[A-Za-z0-9+/]{4}){8,}(?:[A-Za-z0-9+/]{2,3}={1,2})?|(?!whsec_).{16,})$/,
        'must be whsec_ and at least 24 bytes as base64, or any 16 characters or more (openssl rand -hex 32)',
      )
      .optional(),
    default: undefined,
    description: 'Secret that signs webhooks, at least 16 characters; required when WEBHOOK_ORIGINS is set',
    secret: true,
  },
  MAX_UPLOAD_BYTES: {
    schema: wholeNumber(1024, 1024 * MEGA),
    default: String(32 * MEGA),
    description: 'Maximum size of a request body in bytes; larger ones get 413',
  },
  MAX_PIXELS: {
    schema: wholeNumber(1, 1000 * MEGA),
    default: String(25 * MEGA),
    description: 'Maximum size of a picture in pixels (width × height); larger ones get 413',
  },
  MAX_CONNECTIONS: {
    schema: wholeNumber(1, 1_000_000),
    default: '1000',
    description: 'Maximum number of open connections; further ones are closed immediately',
  },
  REQUEST_TIMEOUT_MS: {
    schema: wholeNumber(1000, 3_600_000),
    default: '300000',
    description:
      'Milliseconds in which a request must arrive completely (its headers: 15000 at most); later, ' +
      'it gets 408',
  },
  SEND_TIMEOUT_MS: {
    schema: wholeNumber(1000, 3_600_000),
    default: '60000',
    description:
      'Milliseconds for which a client may read nothing of its response before the connection is closed',
  },
  CORS_ORIGINS: {
    schema: origins(['*'], 'must be origins such as https://example.org, separated by commas, or *'),
    default: '',
    description: 'Comma-separated origins whose pages may call the service, or `*`; none by default',
  },
  API_KEYS: {
    schema: apiKeys.optional(),
    default: undefined,
    description:
      'Comma-separated API keys that may use `/v1`, each as `name:sha256` (`npm run key` creates ' +
      'one), optionally with its own rate limit, as `name:sha256:60/minute`. If unset, no key is ' +
      'needed',
    secret: true,
  },
  RATE_LIMIT: {
    schema: z
      .string()
      .transform(parseRate)
      .refine((rate) => rate !== undefined, { error: 'must be like 60/minute (second, minute, hour, day)' })
      .optional(),
    default: undefined,
    description:
      'Maximum rate of requests to `/v1`, such as `60/minute`, for each API key or, without keys, ' +
      'for each client address; beyond it, requests get 429',
  },
  TRUST_PROXY: {
    schema: proxies.optional(),
    default: undefined,
    description:
      'Comma-separated addresses or networks of proxies, such as `10.0.0.0/8`, whose X-Forwarded-For ' +
      'header is trusted to name the client',
  },
  DOCS: {
    schema: flag,
    default: 'true',
    description: 'Whether to serve `/docs`, `/openapi.json` and `/openapi.yaml`',
  },
  METRICS_PORT: {
    schema: wholeNumber(0, 65_535).optional(),
    default: undefined,
    description:
      'Separate port for `/metrics`, where no API key is needed. If unset, `/metrics` is served on PORT',
  },
  SHUTDOWN_GRACE_MS: {
    schema: wholeNumber(0, 3_600_000),
    default: '30000',
    description: 'Milliseconds that requests in progress have to finish after SIGTERM',
  },
} as const satisfies Record<string, Setting>;

type Settings = typeof SETTINGS;
const SECRETS = [
  ...Object.keys(SETTINGS).filter((name) => (SETTINGS[name as keyof Settings] as Setting).secret),
  'OTEL_EXPORTER_OTLP_HEADERS', // OpenTelemetry's own, often with a token
  'OTEL_EXPORTER_OTLP_TRACES_HEADERS',
];
export type Config = { [Name in keyof Settings]: z.output<Settings[Name]['schema']> };

/** A setting has a value it cannot have. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

/** The environment as typed, validated settings. Throws ConfigError: a sentence for each bad value, naming it. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const problems: string[] = [];
  const entries = Object.entries(SETTINGS).map(([name, setting]) => {
    const given = env[name] === '' ? undefined : env[name];
    const parsed = (setting as Setting).schema.safeParse(given ?? setting.default);
    const value = (setting as Setting).secret ? '***' : given;
    if (!parsed.success) problems.push(`${name} is '${value}'; it ${parsed.error.issues[0].message}.`);
    return [name, parsed.data];
  });
  if (env.WEBHOOK_ORIGINS && !env.WEBHOOK_SECRET) {
    problems.push('WEBHOOK_ORIGINS is set, but WEBHOOK_SECRET is not: receivers could not tell who calls.');
  }
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return Object.fromEntries(entries) as Config;
}

/** What must be in no log: the values of secret settings, and the parts of them that are secret by themselves. */
export function secretsIn(env: NodeJS.ProcessEnv): string[] {
  const values = SECRETS.flatMap((name) => env[name] || []);
  const passwords = values.flatMap((value) => {
    const password = URL.canParse(value) ? new URL(value).password : '';
    return [password, querystring.unescape(password)]; // which forgives bad escapes
  });
  return [...values, ...passwords, ...(env.API_KEYS ?? '').split(',')];
}

/** Takes the secrets out of an environment, once they are read: no child process is to inherit them. */
export function forgetSecrets(env: NodeJS.ProcessEnv): void {
  for (const name of SECRETS) delete env[name];
}

/** For the log: secrets masked. */
export function shown(config: Config): Record<string, unknown> {
  const masked = ([name, value]: [string, unknown]) => {
    const { secret } = SETTINGS[name as keyof Settings] as Setting;
    return [name, secret && value !== undefined ? '***' : value];
  };
  return Object.fromEntries(Object.entries(config).map(masked));
}

/** The README's table. */
export function settingsTable(): string {
  const rows = Object.entries(SETTINGS).map(
    ([name, setting]) =>
      `| \`${name}\` | ${setting.default ? `\`${setting.default}\`` : ''} | ${setting.description} |`,
  );
  return ['| variable | default | meaning |', '| --- | --- | --- |', ...rows].join('\n');
}
