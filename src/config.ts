import { isIP } from 'node:net';
import querystring from 'node:querystring';
import { z } from 'zod';
import { apiKeys, parseRate } from './api-keys.ts';
import { parseSplit } from './registry/split.ts';

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
      'must be addresses or networks such as 10.0.0.0/8, or loopback, linklocal, uniquelocal, separated by commas',
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
  HOST: { schema: z.string(), default: '0.0.0.0', description: 'address to listen on' },
  PORT: {
    schema: wholeNumber(0, 65_535),
    default: '8000',
    description: 'port to listen on; 0: any free one',
  },
  LOG_LEVEL: {
    schema: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    default: 'info',
    description: 'least severe level that is logged',
  },
  MODEL_DIR: {
    schema: z.string(),
    default: 'models',
    description: 'folder with `<id>/<version>/model.json`',
  },
  DEFAULT_MODEL: {
    schema: split.optional(),
    default: undefined,
    description:
      '`id`, `id@version` or a split `id@1:90,@2:10` for requests that name no model; else what SERVING_FILE says, ' +
      'else the first id, newest version',
  },
  SERVING_FILE: {
    schema: z.string().optional(),
    default: undefined,
    description: 'what `npm run promote` writes and the service follows; else `serving.json` in MODEL_DIR',
  },
  RELOAD_INTERVAL_MS: {
    schema: wholeNumber(0, 3_600_000),
    default: '10000',
    description: 'milliseconds between looks at MODEL_DIR and SERVING_FILE; 0: on SIGHUP alone',
  },
  MODEL_IDLE_MS: {
    schema: wholeNumber(0, 7 * 24 * 3_600_000),
    default: '300000',
    description:
      'milliseconds after which a model that is not the default and not asked for is unloaded; 0: never',
  },
  ENGINE: {
    schema: oneOf(['auto', 'onnx', 'tfjs']),
    default: 'auto',
    description: 'what evaluates the network: auto, onnx, tfjs',
  },
  DEVICE: {
    schema: oneOf(['auto', 'cpu', 'webgpu', 'cuda', 'tensorrt']),
    default: 'auto',
    description: 'where it runs: auto (the fastest that works), cpu, webgpu, cuda, tensorrt',
  },
  ENGINE_FALLBACK: {
    schema: flag,
    default: 'false',
    description: 'whether the next runtime takes over when the workers keep failing',
  },
  MAX_BATCH: {
    schema: z.union([z.literal('auto').transform(() => undefined), wholeNumber(1, 1024)], {
      error: 'must be auto or a whole number from 1 to 1024',
    }),
    default: 'auto',
    description: 'most rows of one evaluation; auto: 1 on a CPU, measured at start on a GPU',
  },
  QUEUE_LIMIT: {
    schema: wholeNumber(8, 100_000), // one request may ask for eight
    default: '64',
    description: 'images in the system, running ones included; past it 429',
  },
  JOB_LIMIT: {
    schema: wholeNumber(1, 1_000_000),
    default: '1000',
    description: 'jobs waiting or running; past it 429',
  },
  JOB_TTL_MS: {
    schema: wholeNumber(1000, 7 * 24 * 3_600_000),
    default: '3600000',
    description: 'milliseconds that a finished job and its pictures are kept',
  },
  REDIS_URL: {
    schema: z
      .string()
      .refine((url) => /^rediss?:\/\/./.test(url) && URL.canParse(url), {
        error: 'must be like redis://host:6379 or rediss://user:password@host:6379',
      })
      .optional(),
    default: undefined,
    description: 'Redis that keeps jobs, for any number of replicas; without it they are kept in memory',
    secret: true,
  },
  WEBHOOK_ORIGINS: {
    schema: origins([], 'must be origins such as https://example.org, separated by commas'),
    default: '',
    description: 'origins that webhooks of jobs may be sent to, separated by commas; none by default',
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
    description:
      'key that webhooks are signed with, 16 characters or more; needed where WEBHOOK_ORIGINS is set',
    secret: true,
  },
  MAX_UPLOAD_BYTES: {
    schema: wholeNumber(1024, 1024 * MEGA),
    default: String(32 * MEGA),
    description: 'largest request body in bytes; past it 413',
  },
  MAX_PIXELS: {
    schema: wholeNumber(1, 1000 * MEGA),
    default: String(25 * MEGA),
    description: 'largest picture in pixels; past it 413',
  },
  MAX_CONNECTIONS: {
    schema: wholeNumber(1, 1_000_000),
    default: '1000',
    description: 'connections at a time; more are closed at once',
  },
  REQUEST_TIMEOUT_MS: {
    schema: wholeNumber(1000, 3_600_000),
    default: '300000',
    description:
      'milliseconds that a request may take to arrive in full, its headers 15000 at most; past it 408',
  },
  SEND_TIMEOUT_MS: {
    schema: wholeNumber(1000, 3_600_000),
    default: '60000',
    description:
      'milliseconds that a client may take nothing of its answer; past it the connection is closed',
  },
  CORS_ORIGINS: {
    schema: origins(['*'], 'must be origins such as https://example.org, separated by commas, or *'),
    default: '',
    description: 'origins whose pages may call the service, separated by commas; none by default',
  },
  API_KEYS: {
    schema: apiKeys.optional(),
    default: undefined,
    description:
      'who may use `/v1`, as `name:sha256` of each key (`npm run key`), with `:60/minute` for a limit of its own; ' +
      'without it, everybody',
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
      'requests to `/v1` that a key, or without keys an address, may make, such as `60/minute`; past it 429',
  },
  TRUST_PROXY: {
    schema: proxies.optional(),
    default: undefined,
    description:
      'addresses or networks of the proxies in front, such as `10.0.0.0/8`: who they name in X-Forwarded-For is the client',
  },
  DOCS: {
    schema: flag,
    default: 'true',
    description: 'whether `/docs` and `/openapi.json` and `.yaml` are served',
  },
  METRICS_PORT: {
    schema: wholeNumber(0, 65_535).optional(),
    default: undefined,
    description: 'port of its own for `/metrics`, which needs no key there; without it, on PORT',
  },
  SHUTDOWN_GRACE_MS: {
    schema: wholeNumber(0, 3_600_000),
    default: '30000',
    description: 'milliseconds that work in flight has to finish after SIGTERM',
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
