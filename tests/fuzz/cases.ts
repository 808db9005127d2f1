import { Dice } from './dice.ts';
import { type Corpus, damaged } from './pictures.ts';

/** A malformed request, as raw bytes. */
export interface Case {
  kind: string;
  bytes: Buffer;
  /** The only invalid field, if known. An error response must name it. */
  field?: string;
  /** The end of the request is ambiguous, so the service may wait for more data. */
  endless?: boolean;
  /** The request has no valid API key, so it must be refused. */
  locked?: boolean;
  /** Errors have the shape of another service's API: JSON with a text `error`. */
  foreign?: boolean;
}

export interface Target {
  corpus: Corpus;
  /** An API key that the service accepts. */
  apiKey: string;
}

/** Case `number` of a seed; the same arguments always give the same case. */
export function drawCase(seed: number, number: number, target: Target): Case {
  const dice = new Dice(Math.imul(seed, 0x9e3779b1) + number);
  return dice.of(KINDS)(dice, target);
}

interface Request {
  method?: string;
  path?: string;
  headers: [name: string, value: string][];
  body?: Buffer;
}

/** Serialises a request without validation. Adds content-length unless a header defines the length of the body. */
function written({
  method = 'POST',
  path = '/v1/inpaint',
  headers,
  body = Buffer.alloc(0),
}: Request): Buffer {
  const framed = headers.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name));
  const all = framed || method === 'GET' ? headers : [...headers, ['content-length', String(body.length)]];
  const lines = [['host', 'fuzz'], ['connection', 'close'], ...all].map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`), body]);
}

const key = ({ apiKey }: Target): [string, string] => ['x-api-key', apiKey];
const BOUNDARY = 'a-boundary';
const formType: [string, string] = ['content-type', `multipart/form-data; boundary=${BOUNDARY}`];
const jsonType: [string, string] = ['content-type', 'application/json'];
const FORM_PATHS = ['/v1/inpaint', '/v1/inpaint', '/v1/inpaint', '/v1/diffuse', '/v1/jobs'];

interface Part {
  name: string;
  value: Buffer | string;
  file?: string;
}

function form(parts: Part[]): Buffer {
  const pieces = parts.flatMap(({ name, value, file }) => {
    const filename = file === undefined ? '' : `; filename="${file}"`;
    const head = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"${filename}\r\n\r\n`;
    return [Buffer.from(head), Buffer.from(value), Buffer.from('\r\n')];
  });
  return Buffer.concat([...pieces, Buffer.from(`--${BOUNDARY}--\r\n`)]);
}

/** Parameters that keep a request fast; the sampler varies. */
const cheap = (dice: Dice) => ({ steps: '1', sampler: dice.of(['ddim', 'ddpm', 'dpmpp_2m']) });

function goodParts(dice: Dice, { corpus: { good } }: Target, path: string): Part[] {
  const fields = path === '/v1/diffuse' ? { timesteps: '5' } : cheap(dice);
  const parts: Part[] = Object.entries(fields).map(([name, value]) => ({ name, value }));
  parts.push({ name: 'image', value: good.image, file: 'i.png' });
  if (path !== '/v1/diffuse') parts.push({ name: 'mask', value: good.mask, file: 'm.png' });
  return parts;
}

const KINDS: ((dice: Dice, target: Target) => Case)[] = [
  function picture(dice, target) {
    const { pictures, masks } = target.corpus;
    const path = dice.of(FORM_PATHS);
    const parts = goodParts(dice, target, path);
    const files = parts.filter(({ file }) => file);
    const which = dice.of(files);
    which.value = damaged(
      dice.of(which.name === 'mask' ? [...masks, ...pictures] : pictures),
      pictures,
      dice,
    );
    if (dice.chance(0.2)) dice.of(files).value = damaged(dice.of(pictures), pictures, dice);
    return { kind: 'picture', bytes: written({ path, headers: [key(target), formType], body: form(parts) }) };
  },

  function pictureInJson(dice, target) {
    const { pictures, good } = target.corpus;
    const image = damaged(dice.of(pictures), pictures, dice).toString(
      dice.of(['base64', 'base64', 'base64url', 'hex']),
    );
    const prefix = dice.of(['', '', 'data:image/png;base64,', 'data:;base64,', 'data:image/svg+xml,']);
    const body = { image: prefix + image, mask: good.mask.toString('base64'), steps: 1 };
    return json('picture in JSON', dice.of(['/v1/inpaint', '/v1/jobs']), body, dice, target);
  },

  function otherApi(dice, target) {
    const { pictures, masks, good } = target.corpus;
    const text = (file: Buffer) => file.toString('base64');
    const [image, mask] = dice.chance(0.7)
      ? [damaged(dice.of(pictures), pictures, dice), good.mask]
      : [good.image, damaged(dice.of(masks), pictures, dice)];
    const odd = dice.chance(0.3) ? { [dice.text(8)]: anyValue(dice, 2) } : {};
    const tensor = (name: string, file: Buffer) => ({
      name,
      datatype: dice.chance(0.8) ? 'BYTES' : dice.of(['UINT8', 'FP32', 'INT64', '']),
      shape: dice.chance(0.8)
        ? [1]
        : dice.of([[0], [-1], [2], [1, 1, 1, 3], [2 ** 31, 2 ** 31], anyValue(dice, 1)]),
      data: dice.chance(0.9) ? [text(file)] : anyValue(dice, 2),
    });
    const [kind, path, body] = dice.of<() => [string, string, object]>([
      () => ['IOPaint', '/api/v1/inpaint', { image: text(image), mask: text(mask), sd_seed: 1, ...odd }],
      () => [
        'IOPaint mask',
        '/api/v1/adjust_mask',
        { mask: text(image), operate: 'expand', kernel_size: 3, ...odd },
      ],
      () => [
        'tensors',
        '/v2/models/celeba-inpaint-64/infer',
        { inputs: [tensor('image', image), tensor('mask', mask)], parameters: { steps: 1, ...odd } },
      ],
    ])();
    return { ...json(kind, path, body, dice, target), foreign: true };
  },

  function multipart(dice, target) {
    const path = dice.of(FORM_PATHS);
    const parts = goodParts(dice, target, path);
    for (let times = dice.int(3); times > 0; times--) {
      const part = dice.of(parts);
      dice.of([
        () => parts.push({ ...part }),
        () => parts.push({ name: dice.text(dice.int(12)), value: dice.text(dice.int(40)) }),
        () => parts.push(...Array.from({ length: 60 }, (_, i) => ({ name: `f${i}`, value: '1' }))),
        () => (part.name = dice.text(dice.of([0, 3, 200]))),
        () => (part.file = dice.of([undefined, '', '../../etc/passwd', dice.text(20)])),
        () => (part.value = dice.text(dice.of([0, 10, 70_000]))),
        () => parts.splice(dice.int(parts.length), 1),
      ])();
    }
    let body = form(parts);
    if (dice.chance(0.7)) body = damaged(body, target.corpus.pictures, dice);
    const type = dice.of([
      formType[1],
      formType[1],
      formType[1],
      'multipart/form-data',
      'multipart/form-data; boundary=',
      'multipart/form-data; boundary="',
      `multipart/form-data; boundary=${'b'.repeat(300)}`,
      `multipart/mixed; boundary=${BOUNDARY}`,
      `Multipart/Form-Data; Boundary=${BOUNDARY}; charset=utf-16`,
      `multipart/form-data; boundary=${BOUNDARY}; boundary=other`,
    ]);
    return {
      kind: 'multipart',
      bytes: written({ path, headers: [key(target), ['content-type', type]], body }),
    };
  },

  function fieldInForm(dice, target) {
    const field = dice.of(Object.keys(BAD_VALUES));
    const value = String(dice.of(BAD_VALUES[field]));
    const parts = [
      ...goodParts(dice, target, '/v1/inpaint').filter(({ name }) => name !== field),
      { name: field, value },
    ];
    return {
      kind: 'field in a form',
      field,
      bytes: written({ headers: [key(target), formType], body: form(parts) }),
    };
  },

  function fieldInJson(dice, target) {
    const field = dice.of(Object.keys(BAD_VALUES));
    const value = dice.of([...BAD_VALUES[field], [], {}, [[1]], true, '', 1e308, -0.5, '\0']);
    const { image, mask } = target.corpus.good;
    const body = { image: image.toString('base64'), mask: mask.toString('base64'), steps: 1, [field]: value };
    return { ...json('field in JSON', '/v1/inpaint', body, dice, target), field };
  },

  function document(dice, target) {
    const path = dice.of(['/v1/sample', '/v1/sample', '/v1/inpaint', '/v1/diffuse', '/v1/jobs']);
    const fields = [
      ...Object.keys(BAD_VALUES),
      'image',
      'mask',
      'task',
      'webhook',
      'timesteps',
      '__proto__',
      'constructor',
    ];
    const entries = Array.from({ length: dice.int(5) }, () => [dice.of(fields), anyValue(dice, 3)]);
    return json('JSON document', path, { steps: 1, ...Object.fromEntries(entries) }, dice, target);
  },

  function brokenJson(dice, target) {
    const good = Buffer.from('{"steps": 1, "seed": 7, "sampler": "ddim", "num_images": 1}');
    const body = dice.of([
      () => damaged(good, [good], dice),
      () => Buffer.from(`${'['.repeat(1 + dice.int(50_000))}`),
      () => Buffer.from(`{"a":${'{"a":'.repeat(5000)}1${'}'.repeat(5001)}`),
      () => Buffer.concat([Buffer.from('\ufeff'), good]),
      () => Buffer.from('{"steps":1,"steps":2}'),
      () => Buffer.from('{"__proto__":{"steps":1},"constructor":{"prototype":{"steps":1}}}'),
      () => Buffer.from(`{"steps":${'9'.repeat(400)}}`),
      () =>
        Buffer.from(
          dice.of(['', ' ', 'null', '1', '"a"', '[]', 'true', 'NaN', '{"steps":NaN}', "{'steps':1}"]),
        ),
      () => dice.bytes(dice.int(64)),
    ])();
    const path = dice.of(['/v1/sample', '/v1/inpaint', '/v1/jobs']);
    return { kind: 'broken JSON', bytes: written({ path, headers: [key(target), jsonType], body }) };
  },

  function headers(dice, target) {
    const list: [string, string][] = [key(target), jsonType];
    for (let times = 1 + dice.int(3); times > 0; times--)
      list.push([dice.of(HEADER_NAMES), headerValue(dice)]);
    const { method, path, body } = dice.of([
      { method: 'POST', path: '/v1/sample', body: Buffer.from('{"steps":1}') },
      { method: 'GET', path: '/v1/jobs', body: undefined },
      { method: 'GET', path: '/', body: undefined },
      { method: 'GET', path: '/openapi.json', body: undefined },
      { method: 'GET', path: '/metrics', body: undefined },
      { method: 'OPTIONS', path: '/v1/inpaint', body: undefined },
    ]);
    return { kind: 'headers', endless: true, bytes: written({ method, path, headers: list, body }) };
  },

  function path(dice, target) {
    const pieces = [
      'v1',
      'jobs',
      'models',
      'health',
      'docs',
      'playground',
      'static',
      '..',
      '.',
      '',
      '%2e%2e',
      '%00',
      '%',
      '%ff',
      '%2f',
      '*',
    ];
    pieces.push(
      'celeba-inpaint-64',
      '@',
      '__proto__',
      'constructor',
      'a'.repeat(120),
      '0',
      'events',
      'images',
      '-1',
      '1e3',
      '0x1',
    );
    const uri = (text: string) => text.replace(/[\s\0]/g, '+');
    const name = () => (dice.chance(0.8) ? dice.of(pieces) : uri(dice.text(1 + dice.int(8))));
    const start = dice.of([
      '/',
      '/v1/',
      '/v1/jobs/',
      '/v1/models/',
      '/playground/',
      '/docs/',
      '/docs/static/',
      '//',
      '',
    ]);
    const where = start + Array.from({ length: dice.int(4) }, name).join('/');
    const query = dice.chance(0.4)
      ? `?${dice.of(['limit', 'status', dice.text(4)]).replace(/[\s\0]/g, '')}=${uri(dice.text(dice.int(8)))}`
      : '';
    const method = dice.of([
      'GET',
      'GET',
      'GET',
      'DELETE',
      'HEAD',
      'PUT',
      'POST',
      'PATCH',
      'OPTIONS',
      'TRACE',
      'BREW',
    ]);
    return { kind: 'path', bytes: written({ method, path: where + query || '/', headers: [key(target)] }) };
  },

  function wrongKey(dice, { apiKey }) {
    const wrong = dice.of([
      '',
      'null',
      apiKey.slice(0, -1),
      `${apiKey}x`,
      apiKey.toUpperCase(),
      apiKey.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      `${apiKey},${apiKey}`,
      `${apiKey}\0`,
      dice.text(dice.of([1, 43, 4000])).replace(/[\0\t]/g, ''),
    ]);
    const headers = dice.of<[string, string][]>([
      [],
      [['x-api-key', wrong]],
      [['authorization', `Bearer ${wrong}`]],
      [['authorization', `Basic ${Buffer.from(`a:${apiKey}`).toString('base64')}`]],
      [['authorization', `Token ${apiKey}`]],
      [['cookie', `api_key=${apiKey}`]],
      [
        ['x-api-key', wrong],
        ['x-api-key', wrong],
      ],
    ]);
    const [method, path] = dice.of([
      ['GET', '/v1/models'],
      ['POST', '/v1/sample'],
      ['GET', `/v1/jobs?api_key=${apiKey}`],
      ['GET', '/%76%31/models'],
      ['GET', '/metrics'],
    ]);
    const body = method === 'POST' ? Buffer.from('{"steps":1}') : undefined;
    return {
      kind: 'API key',
      locked: true,
      bytes: written({ method, path, headers: [jsonType, ...headers], body }),
    };
  },

  function notHttp(dice, target) {
    const good = written({
      path: '/v1/sample',
      headers: [key(target), jsonType],
      body: Buffer.from('{"steps":1}'),
    });
    return { kind: 'broken HTTP', endless: true, bytes: damaged(good, target.corpus.pictures, dice) };
  },
];

function json(kind: string, path: string, body: object, dice: Dice, target: Target): Case {
  const accept: [string, string] = [
    'accept',
    dice.of(['*/*', 'application/json', 'image/webp', 'text/event-stream']),
  ];
  return {
    kind,
    bytes: written({
      path,
      headers: [key(target), jsonType, accept],
      body: Buffer.from(JSON.stringify(body)),
    }),
  };
}

/** Invalid values of each field. */
const BAD_VALUES: Record<string, (string | number)[]> = {
  steps: [0, -1, 1.5, 100_001, 'many', '١'],
  seed: [-1, 2 ** 32, 0.5, 'x'],
  num_images: [0, 9, 1e9, 'two'],
  sampler: ['euler', 'DDIM', 'ddim '],
  eta: [-0.1, 1.1, 'none'],
  preview_every: [-1, 1e6, 'x'],
  priority: ['urgent', '1'],
  strategy: ['guess', 'CROP'],
  padding: [-1, 10_001, 'wide'],
  mask_blur: [-1, 257, 'x'],
  format: ['gif', 'PNG', 'svg'],
  quality: [0, 101, 'best'],
  model: ['nobody', 'celeba-inpaint-64@999', '../models', '__proto__'],
};

function anyValue(dice: Dice, depth: number): unknown {
  const scalars = [
    null,
    true,
    false,
    0,
    -1,
    1,
    7,
    2.5,
    1e21,
    -1e-9,
    2 ** 53,
    '',
    '1',
    'ddim',
    'png',
    'sample',
    'http://127.0.0.1/',
  ];
  if (depth === 0 || dice.chance(0.6))
    return dice.chance(0.8) ? dice.of(scalars) : dice.text(dice.of([1, 8, 3000]));
  const items = Array.from({ length: dice.int(5) }, () => anyValue(dice, depth - 1));
  return dice.chance(0.5)
    ? items
    : Object.fromEntries(items.map((item, i) => [dice.of(['a', 'steps', '__proto__', '~/']) + i, item]));
}

const HEADER_NAMES = [
  'accept',
  'accept',
  'accept-encoding',
  'accept-language',
  'content-type',
  'content-type',
  'content-encoding',
  'content-length',
  'transfer-encoding',
  'expect',
  'idempotency-key',
  'if-none-match',
  'last-event-id',
  'origin',
  'access-control-request-method',
  'access-control-request-headers',
  'range',
  'te',
  'trailer',
  'traceparent',
  'upgrade',
  'x-forwarded-for',
  'x-http-method-override',
  'x-request-id',
  'x-made-up',
];

function headerValue(dice: Dice): string {
  return dice.of([
    () => dice.text(dice.int(30)).replace(/[\0]/g, ''),
    () =>
      dice.of([
        '',
        '*',
        '*/*',
        '0',
        '-1',
        '1e9',
        '99999999999999999999',
        'null',
        'chunked',
        'gzip',
        '100-continue',
      ]),
    () =>
      dice.of([
        'image/png;q=2',
        'text/html',
        'application/json;q=0',
        'image/*;q=abc',
        'application/json; charset=latin1',
      ]),
    () =>
      dice.of([
        'bytes=0-0',
        'websocket',
        'h2c',
        'http://evil.example',
        '00-0-0-00',
        'W/"',
        '::1',
        '300.1.1.1',
      ]),
    () => 'a'.repeat(dice.of([1, 500, 20_000])),
    () => `${dice.text(3).replace(/[\0]/g, '')}\r\nx-injected: yes`,
  ])();
}
