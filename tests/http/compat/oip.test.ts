import { randomBytes } from 'node:crypto';
import { once as event } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import fc from 'fast-check';
import type { FastifyRequest } from 'fastify';
import sharp from 'sharp';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { hashKey, newKey } from '../../../src/config/api-keys.ts';
import { EngineError } from '../../../src/engine/engine.ts';
import { readBody } from '../../../src/http/compat/oip/body.ts';
import { Problem } from '../../../src/http/problem.ts';
import type { Upload } from '../../../src/http/uploads.ts';
import { UnknownModelError } from '../../../src/registry/registry.ts';
import type { ServedModel } from '../../../src/registry/served-model.ts';
import { maskOf, pngOf } from '../../helpers/app.ts';
import { metric } from '../../helpers/metric.ts';
import { startFakeApp } from '../fake-app.ts';

type Service = Awaited<ReturnType<typeof startFakeApp>>;
const services: Service[] = [];
async function start(env: Record<string, string> = {}) {
  const service = await startFakeApp(env);
  services.push(service);
  return service;
}
afterEach(async () => {
  for (const { app, registry } of services.splice(0)) {
    registry.engine.resume();
    await app.close();
  }
});

interface Input {
  name: string;
  datatype: string;
  shape: number[];
  data?: unknown;
  bytes?: Uint8Array;
}

/** A request: the JSON, and the bytes of the inputs that have some. */
function message(inputs: Input[], more: object = {}) {
  const head = JSON.stringify({
    inputs: inputs.map(({ bytes, ...input }) => ({
      ...input,
      ...(bytes && { parameters: { binary_data_size: bytes.length } }),
    })),
    ...more,
  });
  const body = Buffer.concat([Buffer.from(head), ...inputs.flatMap(({ bytes }) => bytes ?? [])]);
  return { body, headers: { 'inference-header-content-length': String(Buffer.byteLength(head)) } };
}

type Body = ReturnType<typeof message>;
const post = ({ url }: Service, { body, headers }: Body, model = 'fake', more: Record<string, string> = {}) =>
  fetch(`${url}/v2/models/${model}/infer`, { method: 'POST', body, headers: { ...headers, ...more } });

/** The JSON of an answer, and the bytes of each output that is binary. */
async function read(answer: Response) {
  const bytes = Buffer.from(await answer.arrayBuffer());
  const length = Number(answer.headers.get('inference-header-content-length') ?? bytes.length);
  const json = JSON.parse(bytes.toString('utf8', 0, length));
  const binary: Record<string, Buffer> = {};
  let at = length;
  for (const { name, parameters } of json.outputs ?? []) {
    if (!parameters) continue;
    binary[name] = bytes.subarray(at, at + parameters.binary_data_size);
    at += parameters.binary_data_size;
  }
  expect(at).toBe(bytes.length);
  return { json, binary };
}

const [W, H] = [12, 10];
const PIXELS = Uint8Array.from({ length: W * H * 3 }, (_, i) => (i * 37) % 256);
const HOLE = Uint8Array.from({ length: W * H }, (_, i) => (i % W > 3 && i % W < 8 && i > 3 * W ? 255 : 0));
const image = (count = 1): Input => ({
  name: 'image',
  datatype: 'UINT8',
  shape: [count, H, W, 3],
  bytes: Buffer.concat(Array.from({ length: count }, () => PIXELS)),
});
const mask = (count = 1): Input => ({
  name: 'mask',
  datatype: 'UINT8',
  shape: [count, H, W, 1],
  bytes: Buffer.concat(Array.from({ length: count }, () => HOLE)),
});
const parameters = { seed: 7, steps: 2, binary_data_output: true };
const fill = (count = 1, more = {}) =>
  message([image(count), mask(count)], { parameters: { ...parameters, ...more } });

const row = (x = new Float32Array(4 * 64), t: number[] = [5]): Input[] => [
  { name: 'x', datatype: 'FP32', shape: [x.length / 256, 4, 8, 8], bytes: new Uint8Array(x.buffer) },
  { name: 't', datatype: 'FP32', shape: [t.length], bytes: new Uint8Array(Float32Array.from(t).buffer) },
];

async function expectError(answer: Response, status: number, text: string) {
  const body = (await answer.json()) as { error: string };
  expect([answer.status, Object.keys(body)]).toEqual([status, ['error']]);
  expect(body.error).toContain(text);
  expect(answer.headers.get('content-type')).toContain('application/json');
  expect(answer.headers.get('x-request-id')).toBeTruthy();
}

describe('the whole task', () => {
  test('gives the picture that /v1/inpaint gives for the seed', async () => {
    const service = await start();
    const png = (data: Uint8Array, channels: 1 | 3) =>
      sharp(data, { raw: { width: W, height: H, channels } })
        .png()
        .toBuffer();
    const form = new FormData();
    form.set('image', new Blob([await png(PIXELS, 3)]), 'image.png');
    form.set('mask', new Blob([await png(HOLE, 1)]), 'mask.png');
    for (const [name, value] of [
      ['seed', '7'],
      ['steps', '2'],
    ])
      form.set(name, value);
    const theirs = await fetch(`${service.url}/v1/inpaint`, { method: 'POST', body: form });
    const picture = await sharp(await theirs.arrayBuffer())
      .raw()
      .toBuffer();
    const answer = await post(service, fill());
    expect(answer.headers.get('x-seed')).toBe('7');
    const { json, binary } = await read(answer);
    expect(json).toMatchObject({ model_name: 'fake', model_version: '1' });
    expect(binary.images.equals(picture)).toBe(true);
    expect(binary.images.equals(PIXELS)).toBe(false);
    expect(binary.seed.readBigInt64LE()).toBe(7n);
  });

  test('a load generator can make its input from the metadata', async () => {
    const service = await start();
    const about = await fetch(`${service.url}/v2/models/fake`);
    const { inputs } = (await about.json()) as { inputs: Input[] };
    const made = inputs.map(({ name, datatype, shape }: Input) => {
      const fixed = shape.map((size, i) => (size > 0 ? size : i === 0 ? 2 : 9));
      const data = Array.from(
        { length: fixed.reduce((a, b) => a * b) },
        (_, i) => ((i * 7919) % 1000) / 1000,
      );
      return { name, datatype, shape: fixed, data };
    });
    const answer = await post(service, message(made));
    expect(answer.status).toBe(200);
    expect((await read(answer)).json.outputs[0]).toMatchObject({ datatype: 'FP32', shape: [2, 9, 9, 3] });
  });

  test('its configuration is in the words of Triton', async () => {
    const { url } = await start();
    expect(await (await fetch(`${url}/v2/models/fake/config`)).json()).toEqual({
      name: 'fake',
      platform: 'ddpm-inpaint',
      max_batch_size: 0,
      input: [
        { name: 'image', data_type: 'TYPE_FP32', dims: [-1, -1, -1, 3] },
        { name: 'mask', data_type: 'TYPE_FP32', dims: [-1, -1, -1, 1] },
      ],
      output: [
        { name: 'images', data_type: 'TYPE_FP32', dims: [-1, -1, -1, 3] },
        { name: 'seed', data_type: 'TYPE_INT64', dims: [1] },
      ],
    });
    const network = await fetch(`${url}/v2/models/fake-network/versions/1/config`);
    expect(await network.json()).toMatchObject({
      name: 'fake-network',
      input: [{ dims: [-1, 4, 8, 8] }, { name: 't', dims: [-1] }],
    });
    await expectError(await fetch(`${url}/v2/models/other/config`), 404, 'other');
    const about = await (await fetch(`${url}/v2`)).json();
    expect(about).toMatchObject({ extensions: ['binary_tensor_data', 'model_configuration'] });
  });

  test('parameters without effect are named, wrong ones are refused', async () => {
    const service = await start();
    const answer = await post(service, fill(1, { guidance: 3, 'a b': 1, priority: 5 }));
    expect([answer.status, answer.headers.get('x-ignored-parameters')]).toEqual([200, 'guidance']);
    await expectError(await post(service, fill(1, { steps: 0 })), 400, 'steps');
    await expectError(await post(service, fill(1, { steps: 101 })), 400, 'steps');
    await expectError(await post(service, fill(1, { sampler: 'euler' })), 400, 'sampler');
    await expectError(await post(service, fill(1, { priority: 'highest' })), 400, 'priority');
  });

  test('several pictures are in one batch, and the error of one names it', async () => {
    const service = await start();
    const one = await read(await post(service, fill()));
    const rows: number[] = [];
    const evaluate = service.registry.engine.evaluate.bind(service.registry.engine);
    service.registry.engine.evaluate = (batch) => {
      rows.push(batch.rows);
      return evaluate(batch);
    };
    const three = await read(await post(service, fill(3)));
    expect(Math.max(...rows)).toBeGreaterThan(1);
    expect(three.binary.images.equals(Buffer.concat([1, 2, 3].map(() => one.binary.images)))).toBe(true);
    const files = [await pngOf(8, 8), Buffer.from('no picture')].map((file) => file.toString('base64'));
    const masks = [1, 2].map(async () => (await maskOf(8, 8)).toString('base64'));
    const inputs = [
      { name: 'image', datatype: 'BYTES', shape: [2], data: files },
      { name: 'mask', datatype: 'BYTES', shape: [2], data: await Promise.all(masks) },
    ];
    await expectError(await post(service, message(inputs)), 400, 'picture 1 of 0..1: image');
    const strict = await start({ MAX_EVALUATIONS: '100' });
    const holes = new Uint8Array(2 * 40 * 40).fill(255, 0, 1).fill(255, 1600, 1600 + 4 * 40); // a dot, and a bar
    const dotAndBar = [
      { name: 'image', datatype: 'UINT8', shape: [2, 40, 40, 3], bytes: new Uint8Array(2 * 40 * 40 * 3) },
      { name: 'mask', datatype: 'UINT8', shape: [2, 40, 40, 1], bytes: holes },
    ];
    const windows = message(dotAndBar, { parameters: { steps: 60, strategy: 'windows' } });
    await expectError(await post(strict, windows), 400, 'picture 1 of 0..1: filling the hole in windows');
    const tooManySteps = message(dotAndBar, { parameters: { steps: 5000 } });
    const { error } = (await (await post(strict, tooManySteps)).json()) as { error: string };
    expect(error).toMatch(/^steps is 5000/); // in every picture
    await expect.poll(() => service.registry.scheduler.admission.idle).toBe(true);
  });

  test('thin pictures are refused before a file is made of them', async () => {
    const thin = (height: number) =>
      message([
        { name: 'image', datatype: 'UINT8', shape: [1, height, 1, 3], bytes: new Uint8Array(3 * height) },
        {
          name: 'mask',
          datatype: 'UINT8',
          shape: [1, height, 1, 1],
          bytes: new Uint8Array(height).fill(255),
        },
      ]);
    const long = 'image is 1 x 16385 pixels; each side may have at most 16384';
    await expectError(await post(await start(), thin(16_385)), 413, long);
    const counted = 'image is 1 x 50000 pixels; at most 1000000 pixels are accepted, and a side below 64';
    const lenient = await start({ MAX_SIDE: '65535', MAX_PIXELS: '1000000' });
    await expectError(await post(lenient, thin(50_000)), 413, counted);
  });

  test('bounds: images, pixels, the answer, and the queue', async () => {
    const service = await start({ MAX_PIXELS: '300', QUEUE_LIMIT: '16', MAX_UPLOAD_BYTES: '20000' });
    await expectError(await post(service, fill(3)), 413, 'image is 12 x 10 pixels; at most 100');
    await expectError(await post(service, fill(2, { num_images: 5 })), 400, '10 images; at most 8');
    const numbers = Array.from({ length: W * H * 3 }, () => 0.5);
    const big = [{ name: 'image', datatype: 'FP32', shape: [1, H, W, 3], data: numbers }, mask()];
    const asked = message(big, { parameters: { ...parameters, num_images: 8 } });
    expect((await post(service, asked)).status).toBe(200);
    const small = await start({ MAX_UPLOAD_BYTES: '8000' });
    await expectError(await post(small, asked), 400, 'the answer would have 11520 bytes');

    const resume = service.registry.engine.hold();
    const waiting = [post(service, fill(2, { num_images: 4 })), post(service, fill(2, { num_images: 4 }))];
    await expect.poll(() => service.registry.scheduler.depth).toMatchObject({ waiting: 12 });
    const refused = await post(service, fill());
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    await expectError(refused, 429, 'no room');
    resume();
    for (const answer of await Promise.all(waiting)) expect(answer.status).toBe(200);
    expect(service.registry.scheduler.admission.idle).toBe(true);
  });

  /** Pictures of a million pixels, with small holes. */
  const large = (count: number, datatype = 'UINT8', more = {}) => {
    const values = count * 3_000_000;
    const bytes = datatype === 'FP32' ? new Uint8Array(4 * values) : new Uint8Array(values);
    const holes = new Uint8Array(count * 1_000_000);
    for (let i = 0; i < count; i++) holes.fill(255, i * 1_000_000, i * 1_000_000 + 10);
    return message(
      [
        { name: 'image', datatype, shape: [count, 1000, 1000, 3], bytes },
        { name: 'mask', datatype: 'UINT8', shape: [count, 1000, 1000, 1], bytes: holes },
      ],
      { parameters: { ...parameters, ...more } },
    );
  };

  test('the memory of an answer is held until it has been sent', async () => {
    // Enough for the pictures, and then for the answer, but not for both at once.
    const service = await start({ MAX_DECODED_BYTES: '100000000' });
    const held = () => metric(service.url, 'ddpm_inpaint_picture_bytes');
    const { body, headers } = large(1, 'UINT8', { num_images: 8, steps: 1 });
    const asked = httpRequest(`${service.url}/v2/models/fake/infer`, { method: 'POST', headers }).end(body);
    const [answer] = (await event(asked, 'response')) as [IncomingMessage]; // its head: nobody reads on
    expect(answer.statusCode).toBe(200);
    expect(await held()).toBeGreaterThanOrEqual(2 * 8 * 3_000_000);
    answer.destroy();
    await expect.poll(held).toBe(0);
  });

  test('pictures and answers that can never be in memory together are refused with the numbers', async () => {
    const service = await start({ MAX_DECODED_BYTES: '100000000', MAX_UPLOAD_BYTES: '64000000' });
    const pictures =
      'of 0..3, which may take 1/4 of what a request may: image of 1000 x 1000 pixels as png would take';
    await expectError(await post(service, large(4)), 413, pictures);
    const answer = 'an answer of 36000000 bytes would take 82 MB of memory; a request may take 75 MB';
    await expectError(await post(service, large(1, 'FP32', { num_images: 3 })), 413, answer);
    // Of files, the answer is known when they are.
    const tight = await start({ MAX_DECODED_BYTES: '10000000' });
    const raw = { width: 300, height: 300, channels: 3 } as const;
    const noise = await sharp(randomBytes(270_000), { raw }).png().toBuffer();
    const files = (file: Buffer) => ({ datatype: 'BYTES', shape: [1], data: [file.toString('base64')] });
    const inputs = [
      { name: 'image', ...files(noise) },
      { name: 'mask', ...files(await maskOf(300, 300)) },
    ];
    const eight = message(inputs, { parameters: { num_images: 8, steps: 1 } });
    await expectError(await post(tight, eight), 413, 'an answer of 2');
  });

  test('many pictures are no reason to warn of a leak', async () => {
    const warn = vi.spyOn(process, 'emitWarning');
    expect((await post(await start(), fill(16))).status).toBe(200);
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  test('a request that takes too much memory to read is refused with the numbers', async () => {
    const service = await start({ MAX_DECODED_BYTES: '10000000' });
    const bytes = new Uint8Array(3_000_000);
    const sent = message([{ name: 'image', datatype: 'UINT8', shape: [1, 1000, 1000, 3], bytes }, mask()]);
    const detail =
      /reading a request of 3000\d+ bytes would take 1[23] MB of memory; a request may take \d+ MB/;
    for (const model of ['fake', 'fake-network']) {
      const answer = await post(service, sent, model);
      expect(answer.status).toBe(413);
      expect(await answer.json()).toMatchObject({ error: expect.stringMatching(detail) });
    }
  });

  test('a request that takes too long is refused: all of its pictures share MAX_SYNC_MS', async () => {
    const service = await start({ MAX_SYNC_MS: '60000' });
    const once = { num_images: 1, steps: 1 };
    const bare = (rows: number) =>
      post(service, message(row(new Float32Array(rows * 256), Array(rows).fill(5))), 'fake-network');
    service.registry.engine.rowSeconds = { base: 20 }; // each picture takes two evaluations
    expect((await post(service, fill(1, once))).status).toBe(200);
    await expectError(await post(service, fill(2, once)), 422, 'which may take 1/2 of MAX_SYNC_MS');
    await expectError(await bare(4), 422, 'about 80 seconds');
    service.registry.engine.rowSeconds = { base: 15 };
    expect((await post(service, fill(2, once))).status).toBe(200);
    expect((await bare(4)).status).toBe(200);
  });

  test('a client that leaves frees its places', async () => {
    const service = await start();
    service.registry.engine.hold();
    const controller = new AbortController();
    const { body, headers } = fill(4);
    const answer = fetch(`${service.url}/v2/models/fake/infer`, {
      method: 'POST',
      body,
      headers,
      signal: controller.signal,
    });
    await expect.poll(() => service.registry.scheduler.admission.idle).toBe(false);
    controller.abort();
    await expect(answer).rejects.toThrow();
    await expect.poll(() => service.registry.scheduler.admission.idle).toBe(true);
  });
});

describe('the bare network', () => {
  test('its metadata has the shape of the network', async () => {
    const { url } = await start();
    const about = await (await fetch(`${url}/v2/models/fake-network/versions/1`)).json();
    expect(about).toEqual({
      name: 'fake-network',
      versions: ['1'],
      platform: 'ddpm-inpaint',
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [-1, 4, 8, 8] },
        { name: 't', datatype: 'FP32', shape: [-1] },
      ],
      outputs: [{ name: 'prediction', datatype: 'FP32', shape: [-1, 3, 8, 8] }],
    });
  });

  test('its rows share a batch with a fill, and each gets its own prediction', async () => {
    const service = await start();
    const { engine } = service.registry;
    const seen: number[][] = [];
    const resume = engine.hold();
    const evaluate = engine.evaluate.bind(engine);
    engine.evaluate = async (batch) => {
      const { rows, x, t } = batch;
      seen.push([...t]);
      await evaluate(batch);
      const prediction = new Float32Array(rows * 3 * 64);
      for (let i = 0; i < rows; i++) prediction.fill(x[i * 256] + t[i], i * 192, (i + 1) * 192);
      return prediction;
    };
    const first = post(service, message(row()), 'fake-network'); // occupies the worker while the others arrive
    await expect.poll(() => service.registry.scheduler.depth.active).toBe(1);
    const filling = post(service, fill());
    const x = new Float32Array(2 * 256).fill(0.25, 0, 256).fill(-0.5, 256);
    const predicting = post(
      service,
      message(row(x, [30, 60]), { id: 'p', parameters: { binary_data_output: true } }),
      'fake-network',
    );
    const { scheduler } = service.registry;
    await expect.poll(() => scheduler.depth.waiting + scheduler.depth.active).toBe(4);
    resume();
    const { json, binary } = await read(await predicting);
    expect(json).toMatchObject({ model_name: 'fake-network', model_version: '1', id: 'p' });
    const values = new Float32Array(binary.prediction.buffer.slice(binary.prediction.byteOffset));
    expect([values[0], values[191], values[192], values[383]]).toEqual([30.25, 30.25, 59.5, 59.5]);
    expect([(await first).status, (await filling).status]).toEqual([200, 200]);
    expect(seen.some((t) => t.includes(30) && t.some((other) => other !== 30 && other !== 60))).toBe(true);
    expect(service.registry.scheduler.admission.idle).toBe(true);
  });

  test('the memory of its answer is held before the network is evaluated', async () => {
    const service = await start();
    const held = () => metric(service.url, 'ddpm_inpaint_picture_bytes');
    for (const [binary, bytes] of [
      [true, 2],
      [false, 9],
    ] as const) {
      const resume = service.registry.engine.hold();
      const sent = message(row(), { parameters: { binary_data_output: binary } });
      const answer = post(service, sent, 'fake-network');
      await service.registry.engine.blocked;
      expect(await held()).toBe(3 * 8 * 8 * Float32Array.BYTES_PER_ELEMENT * bytes);
      resume();
      expect((await answer).status).toBe(200);
      await expect.poll(held).toBe(0);
    }
  });

  test('parameters without effect are named', async () => {
    const service = await start();
    const sent = message(row(), { parameters: { steps: 4, sequence_id: 1, binary_data_output: true } });
    const answer = await post(service, sent, 'fake-network');
    expect([answer.status, answer.headers.get('x-ignored-parameters')]).toEqual([200, 'steps, sequence_id']);
  });

  test('bad rows are refused', async () => {
    const service = await start();
    const send = (inputs: Input[]) => post(service, message(inputs), 'fake-network');
    await expectError(await send(row(new Float32Array(256), [100])), 400, 't: timesteps are from 0 to 99');
    await expectError(await send(row(new Float32Array(256), [-1])), 400, 't: timesteps');
    await expectError(await send(row(new Float32Array(256), [1, 2])), 400, 't: there are 2 timesteps');
    for (const value of [Number.NaN, Number.NEGATIVE_INFINITY, 1e30]) {
      const answer = await send(row(new Float32Array(256).fill(value, 255)));
      await expectError(answer, 400, 'x: its values must be from -1000 to 1000');
    }
    await expectError(await send(row(new Float32Array(256)).slice(0, 1)), 400, 't: this input is missing');
    await expectError(
      await send(row(new Float32Array(33 * 256), Array(33).fill(1))),
      400,
      '33 images; at most 32',
    );
    await expectError(await send([image(), mask()]), 400, 'image: there is no such input; send x, t');
  });

  test('a version that is replaced while the request is read is not used', async () => {
    const service = await start();
    const { registry } = service;
    const model = registry.get();
    const replaced: ServedModel = { ...model, open: () => Promise.reject(new EngineError('closed')) };
    vi.spyOn(registry, 'list').mockReturnValue([model]);
    vi.spyOn(registry, 'get').mockReturnValueOnce(replaced).mockReturnValueOnce(replaced);
    expect((await post(service, message(row()), 'fake-network')).status).toBe(200);
    vi.spyOn(registry, 'list').mockReturnValue([]);
    vi.spyOn(registry, 'get').mockReturnValueOnce(replaced).mockReturnValueOnce(replaced);
    vi.mocked(registry.get).mockImplementation(() => {
      throw new UnknownModelError('it was removed');
    });
    await expectError(await post(service, message(row()), 'fake-network'), 404, 'it was removed');
  });

  test('an engine that fails gives 500, without details', async () => {
    const service = await start();
    service.registry.engine.failing = true;
    const answer = await post(service, message(row()), 'fake-network');
    await expectError(answer, 500, 'could not be evaluated');
    expect(service.registry.scheduler.admission.idle).toBe(true);
  });
});

describe('what applies to every route', () => {
  test('keys: only the probes are open; errors have the shape of the protocol', async () => {
    const key = newKey();
    const service = await start({ API_KEYS: `alice:${hashKey(key).toString('hex')}:4/hour` });
    const { url } = service;
    for (const path of ['live', 'ready']) expect((await fetch(`${url}/v2/health/${path}`)).status).toBe(200);
    for (const path of ['/v2', '/v2/models/fake', '/v2/models/fake/versions/1/ready', '/%762/models/fake'])
      await expectError(await fetch(`${url}${path}`), 401, 'send an API key');
    await expectError(await post(service, fill()), 401, 'send an API key');
    const headers = { authorization: `Bearer ${key}` };
    for (let i = 0; i < 4; i++) expect((await fetch(`${url}/v2`, { headers })).status).toBe(200);
    const refused = await fetch(`${url}/v2/models/fake`, { headers });
    expect(refused.headers.get('retry-after')).toBeTruthy();
    await expectError(refused, 429, 'at most 4 requests per hour');
    for (let i = 0; i < 3; i++) expect((await fetch(`${url}/v2/health/live`)).status).toBe(200);
  });

  test('unknown paths, methods and models', async () => {
    const { url } = await start();
    await expectError(await fetch(`${url}/v2/nothing`), 404, '/v2/nothing');
    await expectError(await fetch(`${url}/v2/models/other-network`), 404, 'other');
    await expectError(await fetch(`${url}/v2/models/${'m'.repeat(200)}`), 404, 'too long');
    const wrong = await fetch(`${url}/v2/models/fake/infer`);
    expect(wrong.headers.get('allow')).toContain('POST');
    await expectError(wrong, 405, 'supports');
    const problem = await (await fetch(`${url}/v2x`)).json();
    expect(problem).toMatchObject({ type: '/problems/not-found' });
  });

  test('readiness, and draining', async () => {
    const service = await start();
    const ready = () => fetch(`${service.url}/v2/health/ready`);
    service.registry.notReadyReason = 'it loads';
    await expectError(await ready(), 503, 'it loads');
    await expectError(await post(service, fill()), 503, 'it loads');
    await expectError(await post(service, message(row()), 'fake-network'), 503, 'it loads');
    service.registry.notReadyReason = undefined;
    expect(await (await ready()).json()).toEqual({ ready: true });
    service.app.draining = true;
    await expectError(await ready(), 503, 'shutting down');
    await expectError(await post(service, fill()), 503, 'shutting down');
  });

  test('bodies: size, compression, JSON that would take much memory', async () => {
    const service = await start({ MAX_UPLOAD_BYTES: '3000000' });
    const { body, headers } = fill();
    const packed = await post(service, { body: gzipSync(body), headers }, 'fake', {
      'content-encoding': 'gzip',
    });
    expect(packed.status).toBe(200);
    const bomb = { body: gzipSync(Buffer.alloc(4_000_000)), headers };
    await expectError(
      await post(service, bomb, 'fake', { 'content-encoding': 'gzip' }),
      413,
      'larger than 3000000',
    );
    const broken = { body: Buffer.from('no gzip'), headers };
    await expectError(
      await post(service, broken, 'fake', { 'content-encoding': 'gzip' }),
      400,
      'not valid gzip',
    );
    await expectError(
      await post(service, broken, 'fake', { 'content-encoding': 'br' }),
      415,
      'br is not supported',
    );
    const json = (text: string) => ({ body: Buffer.from(text), headers }) as never as Body;
    const plain = (text: string) =>
      fetch(`${service.url}/v2/models/fake/infer`, { method: 'POST', body: json(text).body });
    await expectError(await plain('['.repeat(1_000_000)), 400, 'nested more than 16');
    await expectError(await plain(`[${'1,'.repeat(1_100_000)}1]`), 413, 'at most 1000000 values');
    await expectError(await plain(''), 400, 'empty');
    await expectError(await plain('{"inputs":[{"__proto__":null,"name":"image"}]}'), 400, 'shape');
    await expectError(await post(service, { body: Buffer.alloc(3_000_001), headers }), 413, 'larger than');
  });

  test('compressed bodies: what is packed and what is unpacked may each have MAX_UPLOAD_BYTES', async () => {
    const service = await start({ MAX_UPLOAD_BYTES: '3000000', LOG_LEVEL: 'silent' });
    const packed = (bytes: Uint8Array, encoding = 'gzip') =>
      post(service, { body: Buffer.from(bytes), headers: {} as never }, 'fake', {
        'content-encoding': encoding,
      });
    const long = Buffer.from(JSON.stringify({ inputs: [], x: randomBytes(1_500_000).toString('base64') }));
    await expectError(await packed(gzipSync(long)), 400, 'inputs');
    await expectError(await packed(deflateSync(long), 'Deflate'), 400, 'inputs');
    await expectError(await packed(gzipSync(long).subarray(0, -9)), 400, 'not valid gzip');
    const body = gzipSync(fill().body);
    const headers = fill().headers;
    const more = { 'content-encoding': 'gzip' };
    const trailed = await post(
      service,
      { body: Buffer.concat([body, Buffer.alloc(2_000_000)]), headers },
      'fake',
      more,
    );
    expect(trailed.status).toBe(200);
    for (const name of ['constructor', '__proto__', 'gzip, gzip'])
      await expectError(await packed(body, name), 415, `${name} is not supported`);
  });

  test('a compressed body is counted while it is unpacked', async () => {
    const taken: number[] = [];
    const upload: Upload = {
      take(bytes) {
        taken.push(bytes);
        if (taken.reduce((sum, each) => sum + each) > 200_000) throw new Problem('memory-full', 'no more');
      },
      end() {},
      stalled: new Promise(() => {}),
    };
    const body = Readable.from([gzipSync(Buffer.alloc(50_000_000))]) as IncomingMessage;
    const headers = { 'content-encoding': 'gzip' };
    const reading = readBody({ headers, upload } as unknown as FastifyRequest, body, 100_000_000);
    await expect(reading).rejects.toThrow('no more');
    expect(taken.reduce((sum, each) => sum + each)).toBeLessThan(300_000);
  });

  test('a type that cannot be parsed is a type like any other', async () => {
    const service = await start();
    for (const type of ['foo', '/', 'a/b/c', 'multipart/form-data'])
      expect((await post(service, fill(), 'fake', { 'content-type': type })).status).toBe(200);
  });

  test('answers are compressed for clients that accept it', async () => {
    const service = await start();
    const size = [1, 40, 40];
    const large = message(
      [
        { name: 'image', datatype: 'UINT8', shape: [...size, 3], bytes: new Uint8Array(4800) },
        { name: 'mask', datatype: 'UINT8', shape: [...size, 1], bytes: new Uint8Array(1600).fill(255) },
      ],
      { parameters },
    );
    const ask = (body: Body, encodings: string) =>
      new Promise<{ headers: IncomingHttpHeaders; bytes: Buffer }>((resolve, reject) => {
        const path = `${service.url}/v2/models/fake/infer`;
        const headers = { ...body.headers, 'accept-encoding': encodings };
        const sent = httpRequest(path, { method: 'POST', headers }, async (answer) => {
          const chunks: Buffer[] = [];
          for await (const chunk of answer) chunks.push(chunk);
          resolve({ headers: answer.headers, bytes: Buffer.concat(chunks) });
        });
        sent.on('error', reject).end(body.body);
      });
    const short = await ask(fill(), 'gzip');
    expect(short.headers['content-encoding']).toBeUndefined();
    for (const [name, unpack] of [
      ['gzip', gunzipSync],
      ['deflate', inflateSync],
    ] as const) {
      const { headers, bytes } = await ask(large, name);
      expect(headers['content-encoding']).toBe(name);
      const length = Number(headers['inference-header-content-length']);
      const unpacked = unpack(bytes);
      expect(JSON.parse(unpacked.toString('utf8', 0, length)).outputs).toHaveLength(2);
      expect(unpacked.length).toBe(length + 4800 + 8);
    }
  });

  test('no body is answered with 5xx', async () => {
    const service = await start({ MAX_PIXELS: '10000', LOG_LEVEL: 'silent' });
    const shape = fc.array(fc.oneof(fc.integer({ min: -1, max: 12 }), fc.constant(2 ** 31)), {
      maxLength: 5,
    });
    const input = fc.record(
      {
        name: fc.constantFrom('image', 'mask', 'x', ''),
        datatype: fc.constantFrom('FP32', 'UINT8', 'BYTES', 'INT64', '__proto__'),
        shape: fc.oneof(shape, fc.constant([1, 10, 12, 3]), fc.constant([1, 10, 12, 1])),
        data: fc.oneof(fc.jsonValue(), fc.array(fc.integer({ min: 0, max: 1 }), { maxLength: 400 })),
        parameters: fc.oneof(fc.record({ binary_data_size: fc.nat(600) }), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const head = fc.record(
      { inputs: fc.array(input, { maxLength: 3 }), outputs: fc.jsonValue(), parameters: fc.jsonValue() },
      { requiredKeys: [] },
    );
    const request = fc.record({
      head,
      bytes: fc.uint8Array({ maxLength: 600 }),
      shift: fc.integer({ min: -3, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(request, async ({ head, bytes, shift }) => {
        const json = Buffer.from(JSON.stringify(head));
        const headers = { 'inference-header-content-length': String(json.length + Math.max(0, shift)) };
        const { status } = await post(service, { body: Buffer.concat([json, bytes]), headers });
        expect(status).toBeLessThan(500);
      }),
      { numRuns: 300 },
    );
  });
});
