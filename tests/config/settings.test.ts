import { expect, test } from 'vitest';
import { ConfigError, readConfig } from '../../src/config/read.ts';
import { forgetSecrets, maskSecrets, secretsIn } from '../../src/config/secrets.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { runtimes } from '../../src/engine/runtimes.ts';

const HASH = 'ab'.repeat(32);

/** Valid and invalid values of every setting. `bad` is empty where any text is valid. */
const VALUES: Record<keyof typeof SETTINGS, { good: string[]; bad: string[] }> = {
  HOST: { good: ['127.0.0.1', '::'], bad: [] }, // main.ts reports an address it cannot listen on
  PORT: { good: ['0', '65535'], bad: ['-1', '65536', '80.5', '8o', ' 80', '1e3'] },
  LOG_LEVEL: { good: ['trace', 'silent'], bad: ['verbose', 'INFO'] },
  MODEL_DIR: { good: ['/models'], bad: [] }, // the registry reports a missing folder
  DEFAULT_MODEL: {
    good: ['celeba', 'celeba@1', 'celeba@1:90,@2:10'],
    bad: ['celeba@1:90,@2', 'celeba@1:0', 'a@1:x,@2:1'],
  },
  MODEL_ALIASES: {
    good: ['gpt-image-1=celeba', 'a=celeba@1, *=celeba'],
    bad: ['celeba', 'a=', '=celeba', 'a=b,a=c', 'a@1=b', 'a b=c'],
  },
  SERVING_FILE: { good: ['/run/serving.json'], bad: [] },
  RELOAD_INTERVAL_MS: { good: ['0', '60000'], bad: ['-1', '3600001', 'often'] },
  CACHE_DIR: { good: ['/var/cache/ddpm-inpaint'], bad: [] },
  MODEL_IDLE_MS: { good: ['0'], bad: ['never', '-1'] },
  ENGINE: { good: ['onnx', 'tfjs'], bad: ['torch', 'ONNX'] },
  DEVICE: { good: ['cpu', 'cuda'], bad: ['gpu', 'cuda:0'] },
  ENGINE_FALLBACK: { good: ['true'], bad: ['yes', '1', 'TRUE'] },
  PRECISION: { good: ['auto', 'fp32', 'int8'], bad: ['fp16', 'INT8'] },
  MAX_BATCH: { good: ['auto', '16'], bad: ['0', '1025', 'large'] },
  QUEUE_LIMIT: { good: ['16'], bad: ['15', '1e9', 'none'] },
  JOB_QUEUE_SHARE: { good: ['1', '100'], bad: ['0', '101', '50%'] },
  JOB_LIMIT: { good: ['1'], bad: ['0', 'x'] },
  JOB_INPUT_BYTES: { good: ['1024'], bad: ['1023', '1GB'] },
  JOB_HISTORY: { good: ['1'], bad: ['0', '-1'] },
  JOB_TTL_MS: { good: ['1000'], bad: ['999', '1h'] },
  JOB_MODEL_WAIT_MS: { good: ['0'], bad: ['-1', '5m'] },
  REDIS_URL: {
    good: ['redis://localhost', 'rediss://user:password@host:6379/1'],
    bad: ['localhost:6379', 'http://host', 'redis://', 'redis://user:hunter22@host:port'],
  },
  WEBHOOK_ORIGINS: {
    good: ['https://a.example, http://b:81'],
    bad: ['a.example', 'https://a.example/path', '*'],
  },
  WEBHOOK_SECRET: {
    good: [
      `whsec_${Buffer.alloc(24, 7).toString('base64')}`,
      `whsec_${Buffer.alloc(32, 7).toString('base64')}`,
      'x'.repeat(16),
    ],
    bad: ['too-short', 'whsec_c2hvcnQ=', 'whsec_not/base64!not/base64!not/base64!'],
  },
  MAX_UPLOAD_BYTES: { good: ['1024'], bad: ['1023', '32MB'] },
  MAX_UPLOADS_BYTES: { good: ['auto', '1024'], bad: ['1023', '1GB'] },
  UPLOAD_IDLE_MS: { good: ['100'], bad: ['99', '1s'] },
  MAX_PIXELS: { good: ['1'], bad: ['0', '25M'] },
  MAX_SIDE: { good: ['1', '16384'], bad: ['0', '65536'] },
  DECODE_TIMEOUT_MS: { good: ['100'], bad: ['99', '30s'] },
  MAX_DECODED_BYTES: { good: ['auto', '10000000'], bad: ['0', '9999999', '2GB'] },
  MAX_EVALUATIONS: { good: ['100'], bad: ['99', 'all'] },
  MAX_SYNC_MS: { good: ['100', '86400000'], bad: ['99', 'never'] },
  MAX_CONNECTIONS: { good: ['1'], bad: ['0', 'many'] },
  MAX_EVENT_STREAMS: { good: ['1'], bad: ['0', 'all'] },
  REQUEST_TIMEOUT_MS: { good: ['1000'], bad: ['0', '999', '30s'] },
  SEND_TIMEOUT_MS: { good: ['1000'], bad: ['0', '1m'] },
  CORS_ORIGINS: { good: ['*', 'https://a.example'], bad: ['a.example', 'https://a.example/', 'null'] },
  API_KEYS: {
    good: [`alice:${HASH}`, `alice:${HASH}:60/minute`],
    bad: ['ddpm_a-key-itself', `alice:${HASH}x`, `alice:${HASH}:60`, `:${HASH}`, ','],
  },
  RATE_LIMIT: { good: ['60/minute', '1/day'], bad: ['60', '0/minute', '60/min', '-1/hour'] },
  TRUST_PROXY: {
    good: ['loopback', '10.0.0.0/8, ::1'],
    bad: ['true', '10.0.0.0/33', '0.0.0.0/0', '::/0', 'proxy.example'],
  },
  BASE_PATH: {
    good: ['/inpaint', '/a/b', '/v10', '/api/inpaint'],
    bad: ['inpaint', '/', '/inpaint/', '/a b', '/v1', '/api', '/api/v1', '/docs/inpaint', '/socket.io'],
  },
  DOCS: { good: ['false'], bad: ['no', '0'] },
  PAGE_DIR: { good: ['src/playground'], bad: ['src', 'no-such-folder', 'src/playground/index.html'] },
  METRICS_PORT: { good: ['9090'], bad: ['-1', 'none'] },
  SHUTDOWN_GRACE_MS: { good: ['0'], bad: ['-1', '30s'] },
};
const cases = (kind: 'good' | 'bad') =>
  Object.entries(VALUES).flatMap(([name, values]) => values[kind].map((value) => [name, value] as const));
const isSecret = (name: string) => 'secret' in SETTINGS[name as keyof typeof SETTINGS];

function refusal(env: Record<string, string>): string {
  try {
    readConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error(`${JSON.stringify(env)} was accepted`);
}

/** Other settings that a setting requires. */
const NEEDS: Record<string, Record<string, string>> = {
  WEBHOOK_ORIGINS: { WEBHOOK_SECRET: 'x'.repeat(16) },
  MAX_UPLOADS_BYTES: { MAX_UPLOAD_BYTES: '1024' },
};

test('every setting has test values', () => {
  expect(Object.keys(VALUES)).toEqual(Object.keys(SETTINGS));
  expect(Object.values(VALUES).every(({ good }) => good.length > 0)).toBe(true);
});

test.each(cases('good'))('%s=%s is accepted', (name, value) => {
  const config = readConfig({ [name]: value, ...NEEDS[name] });
  if (isSecret(name)) expect(JSON.stringify(maskSecrets(config))).not.toContain(value);
});

test.each(cases('bad'))('%s=%s is rejected with a sentence that names the valid values', (name, value) => {
  const sentence = refusal({ [name]: value, ...NEEDS[name] });
  expect(sentence).toMatch(new RegExp(`^${name} is '.*'; it must .{8,}\\.$`, 's'));
  expect(sentence.split('\n')).toHaveLength(1);
  if (isSecret(name)) expect(sentence).toMatch(/ is '\*\*\*'; /);
  if (isSecret(name) && value.length > 10) expect(sentence).not.toContain(value);
  if (!isSecret(name)) expect(sentence).toContain(`'${value}'`);
});

test('the secret of webhooks that is recommended is one that a Standard Webhooks library decodes', () => {
  const recommended = 'whsec_$(openssl rand -base64 32)';
  expect(refusal({ WEBHOOK_SECRET: 'too-short' })).toContain(`"${recommended}"`);
  expect(SETTINGS.WEBHOOK_SECRET.description).toContain(recommended);
});

test('all invalid settings are reported together', () => {
  const env = Object.fromEntries(
    Object.entries(VALUES).flatMap(([name, { bad }]) => (bad[0] ? [[name, bad[0]]] : [])),
  );
  const sentences = refusal({ ...env, WEBHOOK_SECRET: '' }).split('\n');
  expect(sentences).toHaveLength(Object.keys(env).length); // in place of WEBHOOK_SECRET's line there is one that says it is missing
});

test('a body of MAX_UPLOAD_BYTES must fit into MAX_UPLOADS_BYTES', () => {
  const sizes = { MAX_UPLOAD_BYTES: '2048', MAX_UPLOADS_BYTES: '2047' };
  expect(refusal(sizes)).toBe("MAX_UPLOADS_BYTES is '2047'; it must be at least MAX_UPLOAD_BYTES, 2048.");
  expect(readConfig({ ...sizes, MAX_UPLOADS_BYTES: '2048' }).MAX_UPLOADS_BYTES).toBe(2048);
});

test('ENGINE must run on DEVICE', () => {
  for (const engine of ['auto', 'onnx', 'tfjs'] as const) {
    for (const device of ['auto', 'cpu', 'webgpu', 'cuda', 'tensorrt'] as const) {
      let runs = true;
      try {
        runtimes({ engine, device });
      } catch {
        runs = false;
      }
      const read = () => readConfig({ ENGINE: engine, DEVICE: device });
      if (runs) expect(read).not.toThrow();
      else expect(read).toThrow(`DEVICE is '${device}'; with ENGINE=${engine} it must be one of `);
    }
  }
});

test('an empty variable counts as not set', () => {
  const empty = Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, '']));
  expect(readConfig(empty)).toEqual(readConfig({}));
});

test('secretsIn lists whole values and the secret parts of them', () => {
  const env = {
    REDIS_URL: 'redis://u:p%C3%A4ss%zz@h',
    API_KEYS: `a:${HASH},b:${HASH}`,
    OTEL_EXPORTER_OTLP_HEADERS: 'x=y',
  };
  const secrets = secretsIn(env);
  for (const each of [...Object.values(env), 'p%C3%A4ss%zz', `b:${HASH}`]) expect(secrets).toContain(each);
});

test('forgetSecrets deletes the secret variables and no other', () => {
  const env: NodeJS.ProcessEnv = {
    PORT: '80',
    REDIS_URL: 'redis://u:password@h',
    WEBHOOK_SECRET: 'x'.repeat(16),
    API_KEYS: `a:${HASH}`,
    OTEL_EXPORTER_OTLP_HEADERS: 'x=y',
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x=y',
  };
  forgetSecrets(env);
  expect(env).toEqual({ PORT: '80' });
});
