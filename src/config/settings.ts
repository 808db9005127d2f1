import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { apiKeys, parseRate } from './api-keys.ts';
import { aliases, autoOr, basePath, flag, oneOf, origins, proxies, split, wholeNumber } from './values.ts';

/** A setting: the meaning, default and range of an environment variable. */
export interface Setting {
  /** Parses the variable's text. An error message completes the sentence "NAME is 'value'; it ...". */
  schema: z.ZodType;
  /** Shown in the README's table. */
  description: string;
  /** As it would be written in the environment; undefined: not set. */
  default: string | undefined;
  /** The value must not be shown in logs or error messages. */
  secret?: boolean;
}

const MEGA = 1_000_000;

/** All settings. Types, validation, masking and the README's table are derived from this table. */
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
      'first id in alphabetical order, with numbers by their value',
  },
  MODEL_ALIASES: {
    schema: aliases,
    default: '',
    description:
      'Comma-separated other names of models, for clients with a fixed name: `gpt-image-1=celeba-inpaint-64`. ' +
      '`*=id` serves every name that is neither a model nor another alias, unless it names a version ' +
      '(`@`). None by default',
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
  CACHE_DIR: {
    schema: z.string().optional(),
    default: undefined,
    description:
      'Folder where what a start measures (memory of a worker, batch size on a GPU) is kept, so that the next start is ' +
      "faster; `ddpm-inpaint` in the user's cache folder if unset. It need not be writable",
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
      'Device that the network runs on: `auto` (the first that works, see docs/gpu.md), `cpu`, `webgpu`, `cuda` or ' +
      '`tensorrt`',
  },
  ENGINE_FALLBACK: {
    schema: flag,
    default: 'false',
    description:
      'Whether to switch to the next runtime when the workers of the current one keep failing. It stays on the device ' +
      'that DEVICE names',
  },
  PRECISION: {
    schema: oneOf(['auto', 'fp32', 'int8']),
    default: 'fp32',
    description:
      'Number format of evaluations on a CPU: `fp32`; `int8`, faster, for models that have an int8 network; `auto`, int8 ' +
      'where the CPU has instructions for it and fills stay as good. With the same seed, fills differ between the two',
  },
  MAX_BATCH: {
    schema: autoOr(1, 1024),
    default: 'auto',
    description:
      'Maximum number of rows in one evaluation of the network. `auto`: 1 on a CPU, measured at start on a GPU',
  },
  QUEUE_LIMIT: {
    schema: wholeNumber(16, 100_000), // a job of 8 images and 8 more for requests
    default: '64',
    description:
      'Maximum number of images waiting or running, for each model; beyond it, requests get 429. With ' +
      'several API keys, a request is also refused if the images of its key, with those of this request, would exceed the ' +
      'places that are free now: a key alone gets about half of QUEUE_LIMIT, less while others have images',
  },
  JOB_QUEUE_SHARE: {
    schema: wholeNumber(1, 100),
    default: '50',
    description:
      'Percentage of QUEUE_LIMIT that images of jobs may use at most. One job always fits, and 10 images (8 with a limit below 18) ' +
      'are always left to other requests',
  },
  JOB_LIMIT: {
    schema: wholeNumber(1, 1_000_000),
    default: '1000',
    description:
      'Maximum number of jobs waiting or running; beyond it, new jobs get 429. With several API keys, ' +
      'a job is also refused if the jobs of its key, including the new one, would exceed the places that are free now: ' +
      'a key alone gets half of JOB_LIMIT, less while others have jobs',
  },
  JOB_INPUT_BYTES: {
    schema: wholeNumber(1024, 1_000_000 * MEGA),
    default: String(256 * MEGA),
    description:
      'Maximum size of the pictures sent with jobs that wait or run, in bytes, in all; beyond it, new ' +
      'jobs get 429. Shared among API keys as JOB_LIMIT is',
  },
  JOB_HISTORY: {
    schema: wholeNumber(1, 1_000_000),
    default: '10000',
    description:
      'Maximum number of finished and cancelled jobs that are kept; beyond it, the oldest are deleted early',
  },
  JOB_TTL_MS: {
    schema: wholeNumber(1000, 7 * 24 * 3_600_000),
    default: '3600000',
    description: 'Milliseconds for which a finished job and its pictures are kept',
  },
  JOB_MODEL_WAIT_MS: {
    schema: wholeNumber(0, 7 * 24 * 3_600_000),
    default: '300000',
    description:
      'With REDIS_URL: milliseconds that a job waits while no replica has its model version, before it fails',
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
      'Redis (6.2 or newer) that stores jobs and rate-limit counters for all replicas. If unset, each ' +
      'process keeps its own in memory',
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
        'must be whsec_ and at least 24 bytes as base64, as in "whsec_$(openssl rand -base64 32)", or any 16 characters ' +
          'or more, whose bytes are the key',
      )
      .optional(),
    default: undefined,
    description:
      'Secret that signs webhooks, such as `whsec_$(openssl rand -base64 32)`, or at least 16 other characters; ' +
      'required when WEBHOOK_ORIGINS is set',
    secret: true,
  },
  MAX_UPLOAD_BYTES: {
    schema: wholeNumber(1024, 1024 * MEGA),
    default: String(32 * MEGA),
    description: 'Maximum size of a request body in bytes; larger ones get 413',
  },
  MAX_UPLOADS_BYTES: {
    schema: autoOr(1024, 10 ** 15),
    default: 'auto',
    description:
      'Maximum size of all request bodies in memory together, in bytes, from their arrival until they are ' +
      'answered; beyond it, requests get 429. At least MAX_UPLOAD_BYTES. `auto`: a sixteenth of the memory limit',
  },
  UPLOAD_IDLE_MS: {
    schema: wholeNumber(100, 3_600_000),
    default: '30000',
    description: 'Milliseconds without a byte after which a request body that has not ended gets 408',
  },
  MAX_PIXELS: {
    schema: wholeNumber(1, 1000 * MEGA),
    default: String(25 * MEGA),
    description:
      'Maximum size of a picture in pixels (width × height); larger ones get 413. In narrow pictures, a ' +
      'side shorter than 64 pixels counts as 64',
  },
  MAX_SIDE: {
    schema: wholeNumber(1, 65_535), // the noise of a pixel is keyed by 16 bits of its column and row
    default: '16384',
    description: 'Maximum width and height of a picture in pixels; larger ones get 413',
  },
  DECODE_TIMEOUT_MS: {
    schema: wholeNumber(100, 3_600_000),
    default: '30000',
    description: 'Milliseconds in which a picture must be decoded; slower ones get 422',
  },
  MAX_DECODED_BYTES: {
    schema: autoOr(10 * MEGA, 10 ** 15),
    default: 'auto',
    description:
      'Maximum memory for decoded pictures, work on them and their results, in bytes, for all requests and ' +
      'jobs of this process; beyond it, requests get 429 and jobs wait. `auto`: a third of the memory limit',
  },
  MAX_EVALUATIONS: {
    schema: wholeNumber(100, 1_000_000),
    default: '4000',
    description:
      'Maximum number of network evaluations for an image. A request that needs more gets 400. Exception: with ' +
      '`strategy=auto`, a hole that needs too many windows is filled at a coarser scale if that is enough',
  },
  MAX_SYNC_MS: {
    schema: wholeNumber(100, 24 * 3_600_000),
    default: '60000',
    description:
      'Maximum time of a request whose client waits for the answer, in milliseconds, as estimated from the measured ' +
      'speed of its model; longer ones get 422 and the advice to send a job',
  },
  MAX_CONNECTIONS: {
    schema: wholeNumber(1, 1_000_000),
    default: '1000',
    description:
      'Maximum number of open connections; on further ones only probes are answered, other requests get 503',
  },
  MAX_EVENT_STREAMS: {
    schema: wholeNumber(1, 1_000_000),
    default: '100',
    description:
      'Maximum number of open streams of job events for each API key or, without keys, for each client ' +
      'address; beyond it, requests get 429',
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
      'Comma-separated API keys that may use the API (`/v1`, `/v2` and `/api/v1`), each as `name:sha256` (`npm run key` creates ' +
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
      'Maximum rate of requests to the API (`/v1`, `/v2` and `/api/v1`), such as `60/minute`, for each API key or, without keys, ' +
      'for each client address; beyond it, requests get 429',
  },
  TRUST_PROXY: {
    schema: proxies.optional(),
    default: undefined,
    description:
      'Comma-separated addresses or networks of trusted proxies, such as `10.0.0.0/8`, or `loopback`, `linklocal`, ' +
      '`uniquelocal`. Their X-Forwarded-For gives the address of the client, and their X-Forwarded-Prefix the ' +
      'prefix of links',
  },
  BASE_PATH: {
    schema: basePath.optional(),
    default: undefined,
    description:
      'Path under which clients reach the service behind a proxy, such as `/inpaint`; links begin with it, and ' +
      'requests are answered with and without it. A proxy of TRUST_PROXY can send X-Forwarded-Prefix instead',
  },
  DOCS: {
    schema: flag,
    default: 'true',
    description: 'Whether to serve `/docs`, `/openapi.json` and `/openapi.yaml`',
  },
  PAGE_DIR: {
    schema: z
      .string()
      .refine((folder) => existsSync(join(folder, 'index.html')), {
        error: 'must be a folder with a file index.html',
      })
      .optional(),
    default: undefined,
    description:
      "Folder with a page that is served at `/` in place of the service's own, such as that of IOPaint " +
      '(`iopaint/web_app`)',
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
    description:
      'Milliseconds that requests in progress have to finish after SIGTERM. The service ends 3 s later at the latest',
  },
} as const satisfies Record<string, Setting>;

/** The validated settings, by the names of their environment variables. */
export type Config = {
  [Name in keyof typeof SETTINGS]: z.output<(typeof SETTINGS)[Name]['schema']>;
};
