import { readFileSync } from 'node:fs';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateImage } from 'ai';
import OpenAI, { toFile } from 'openai';
import sharp from 'sharp';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { maskOf, rgb, startApp, type TestApp } from '../helpers/app.ts';
import { readMetadata } from '../helpers/metadata.ts';

const [WIDTH, HEIGHT] = [96, 80];
let service: TestApp;
let client: OpenAI;
let image: Buffer;
/** The hole is transparent, and black; all else is white. */
let mask: Buffer;
/** The same hole, as /v1/inpaint reads it. */
let white: Buffer;

beforeAll(async () => {
  service = await startApp({ MAX_UPLOAD_BYTES: '2000000' });
  client = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: 'none', maxRetries: 0 });
  image = await rgb(WIDTH, HEIGHT).png().toBuffer();
  white = await maskOf(WIDTH, HEIGHT);
  mask = await transparent(white);
});
afterAll(() => service.app.close());

/** A mask whose hole is transparent instead of white. */
async function transparent(file: Buffer): Promise<Buffer> {
  const known = await sharp(file).negate().toColourspace('b-w').raw().toBuffer({ resolveWithObject: true });
  const { width, height } = known.info;
  const rgba = Buffer.alloc(width * height * 4);
  for (let p = 0; p < width * height; p++) rgba.fill(known.data[p], p * 4, p * 4 + 4);
  return sharp(rgba, { raw: { width, height, channels: 4 } })
    .png()
    .toBuffer();
}

const file = (bytes: Buffer) => toFile(bytes, 'a.png', { type: 'image/png' });
const decoded = (b64?: string) => Buffer.from(b64 ?? '', 'base64');
const pixels = (bytes: Buffer | Uint8Array) => sharp(bytes).removeAlpha().raw().toBuffer();
const url = (bytes: Buffer) => `data:image/png;base64,${bytes.toString('base64')}`;

interface Asked {
  image?: Buffer | Buffer[];
  mask?: Buffer | null;
  [name: string]: unknown;
}
/** images.edit of the real client, with parameters that OpenAI's API does not have too. */
async function edit({ image: sent = image, mask: hole = mask, ...more }: Asked = {}) {
  return client.images.edit({
    prompt: 'a face',
    image: Array.isArray(sent) ? await Promise.all(sent.map(file)) : await file(sent),
    mask: hole ? await file(hole) : undefined,
    ...more,
  } as OpenAI.ImageEditParamsNonStreaming);
}

async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof OpenAI.APIError)) throw new Error(`not refused as OpenAI does: ${error}`);
  const { status, param, code, type, requestID } = error;
  expect(requestID).toMatch(/./);
  return { status, param, code, type, message: error.message };
}

describe('edits', () => {
  test('a seed gives the picture of /v1/inpaint', async () => {
    const own = await request(service.url)
      .post('/v1/inpaint')
      .attach('image', image, 'a.png')
      .attach('mask', white, 'b.png')
      .field('seed', 7)
      .set('accept', 'image/png')
      .buffer();
    const theirs = await edit({ seed: 7 });
    const [expected, got] = await Promise.all(
      [own.body as Buffer, decoded(theirs.data?.[0].b64_json)].map(pixels),
    );
    expect(got.equals(expected)).toBe(true);
    expect(theirs).toMatchObject({ size: '96x80', output_format: 'png', seed: 7 });
  });

  test('a white mask as mask_image gives the same picture', async () => {
    const form = request(service.url).post('/v1/images/edits').attach('image', image, 'a.png');
    const { body } = await form.attach('mask_image', white, 'b.png').field('seed', 7);
    const asAlpha = await edit({ seed: 7 });
    expect(body.data[0].b64_json).toBe(asAlpha.data?.[0].b64_json);
  });

  test('JSON with data: URLs, and files as image[]', async () => {
    const json = { seed: 7, images: [{ image_url: url(image) }], mask: { image_url: url(mask) } };
    const answer = (await client.post('/images/edits', { body: json })) as OpenAI.ImagesResponse;
    const asList = await edit({ image: [image], seed: 7 });
    expect(answer.data?.[0].b64_json).toBe(asList.data?.[0].b64_json);
  });

  test('size, format and n', async () => {
    const answer = await edit({ n: 2, size: '192x160', output_format: 'jpeg', output_compression: 0 });
    expect(answer.data).toHaveLength(2);
    const { width, height, format } = await sharp(decoded(answer.data?.[1].b64_json)).metadata();
    expect({ width, height, format }).toEqual({ width: 192, height: 160, format: 'jpeg' });
    expect(answer).toMatchObject({ size: '192x160', output_format: 'jpeg' });
  });

  test('parameters without effect are named, those with one are not', async () => {
    const answer = await request(service.url)
      .post('/v1/images/edits')
      .attach('image', image, 'a.png')
      .attach('mask', mask, 'b.png')
      .field({ prompt: 'x', quality: 'low', steps: 4, n: 1, style: 'vivid', 'a\tb': 'x' })
      .field('tags[]', 'one')
      .field('tags[]', 'two')
      .field('scale[x]', '1');
    expect(answer.status).toBe(200);
    expect(answer.headers['x-ignored-parameters']).toBe('prompt, quality, style, tags[], scale[x]');
    expect(answer.headers['x-steps']).toBe('4');
  });

  test('a stream has whole pictures on the way, and ends with that of an answer', async () => {
    const stream = await client.images.edit({
      image: await file(image),
      mask: await file(mask),
      prompt: 'x',
      stream: true,
      partial_images: 3,
      ...{ seed: 7 },
    });
    const events = [];
    for await (const event of stream) events.push(event);
    const last = events.pop();
    expect(
      events.map((event) => [event.type, 'partial_image_index' in event && event.partial_image_index]),
    ).toEqual(events.map((_, i) => ['image_edit.partial_image', i]));
    expect(events.length).toBeGreaterThan(0);
    expect(events.length).toBeLessThanOrEqual(3);
    for (const { b64_json, size } of events) {
      expect(size).toBe('96x80');
      const { width, height } = await sharp(decoded(b64_json)).metadata();
      expect([width, height]).toEqual([WIDTH, HEIGHT]);
    }
    expect(last?.type).toBe('image_edit.completed');
    expect(last?.b64_json).toBe((await edit({ seed: 7 })).data?.[0].b64_json);
  });
});

describe('refusals', () => {
  const small = () => maskOf(WIDTH, HEIGHT / 2).then(transparent);
  const refused: [string, () => Promise<Asked>, object][] = [
    [
      'a mask of another size',
      async () => ({ mask: await small() }),
      { param: 'mask', code: 'mask_mismatch' },
    ],
    ['a black and white mask', async () => ({ mask: white }), { param: 'mask', code: 'empty_mask' }],
    ['nothing transparent', async () => ({ mask: null }), { param: 'mask', code: 'empty_mask' }],
    ['what is no picture', async () => ({ image: Buffer.from('no picture') }), { param: 'image' }],
    ['two pictures', async () => ({ image: [image, image] }), { param: 'image' }],
    ['n', async () => ({ n: 11 }), { param: 'n' }],
    ['a malformed size', async () => ({ size: '0x5' }), { param: 'size' }],
    ['other proportions', async () => ({ size: '96x96' }), { param: 'size' }],
    ['too large a size', async () => ({ size: '96000x80000' }), { param: 'size' }],
    ['a URL as answer', async () => ({ response_format: 'url' }), { param: 'response_format' }],
    ['transparency', async () => ({ background: 'transparent' }), { param: 'background' }],
    ['markup', async () => ({ markup: await file(mask) }), { param: 'markup' }],
  ];
  test.each(refused)('%s', async (_, asked, expected) => {
    const error = await refusal(edit(await asked()));
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', ...expected });
  });

  test('a picture that is absent, or no file', async () => {
    const forms: Record<string, string>[] = [{ n: '1' }, { image: 'abc' }, { image: url(image) }];
    for (const fields of forms) {
      const answer = await request(service.url).post('/v1/images/edits').field(fields);
      expect([answer.status, answer.body.error.param]).toEqual([400, 'image']);
      expect(answer.body.error.message).toContain('must be a file');
    }
  });

  test('name the field that was sent, where a field has several names', async () => {
    const asked = (name: string, value: string) =>
      request(service.url).post('/v1/images/edits').attach('image', image, 'a.png').field(name, value);
    const form = request(service.url).post('/v1/images/edits').attach('image', image, 'a.png');
    const small = await form.attach('mask_image', await maskOf(WIDTH, HEIGHT / 2), 'b.png');
    expect(small.body).toMatchObject({
      error: { code: 'mask_mismatch', param: 'mask_image' },
      errors: [{ pointer: '#/mask_image' }],
    });
    for (const name of ['steps', 'num_inference_steps']) {
      const { body } = await asked(name, '5000');
      expect(body.error).toMatchObject({ param: name, message: expect.stringMatching(`^${name} is 5000`) });
    }
    const contradiction = await asked('steps', '2').field('num_inference_steps', '3');
    expect(contradiction.status).toBe(400);
    expect(contradiction.body.error).toMatchObject({ param: 'num_inference_steps' });
    const agreement = await asked('steps', '5000').field('num_inference_steps', '5000');
    expect(agreement.body.error).toMatchObject({ param: 'steps' });
    const { body } = await request(service.url)
      .post('/v1/images/edits')
      .send({ images: [{ image_url: url(Buffer.from('no picture')) }] });
    expect(body.error).toMatchObject({ param: 'images', message: expect.stringMatching('^images is not') });
  });

  test('a model that does not exist', async () => {
    const expected = { status: 404, code: 'model_not_found', param: 'model' };
    expect(await refusal(edit({ model: 'none' }))).toMatchObject(expected);
    expect(await refusal(client.models.retrieve('none'))).toMatchObject({ ...expected, param: 'model' });
  });

  test('addresses and identifiers instead of pictures', async () => {
    for (const reference of [{ image_url: 'https://example.org/a.png' }, { file_id: 'file-1' }]) {
      const body = { images: [reference], mask: { image_url: url(mask) } };
      const error = await refusal(client.post('/images/edits', { body }));
      expect(error).toMatchObject({ status: 400, param: 'images' });
    }
  });

  test('an upload that is too large, and a path that does not exist', async () => {
    const error = await refusal(edit({ image: Buffer.alloc(2_100_000) }));
    expect(error).toMatchObject({ status: 413, type: 'invalid_request_error', code: 'upload_too_large' });
    expect(await refusal(client.get('/images/none'))).toMatchObject({ status: 404, code: 'not_found' });
  });

  test('are refused before a stream begins', async () => {
    const body = { stream: true, images: [{ image_url: url(image) }] };
    expect(await refusal(client.post('/images/edits', { body }))).toMatchObject({
      status: 400,
      param: 'mask',
    });
  });
});

describe('generations and variations', () => {
  test('pictures of a size, each with its own noise', async () => {
    const answer = await client.images.generate({ prompt: 'x', n: 2, size: '256x256' });
    const [a, b] = await Promise.all((answer.data ?? []).map(({ b64_json }) => pixels(decoded(b64_json))));
    expect(a.length).toBe(256 * 256 * 3);
    expect(a.equals(b)).toBe(false);
    const wide = client.images.generate({ prompt: 'x', size: '1536x1024' });
    expect(await refusal(wide)).toMatchObject({ status: 400, param: 'size' });
  });

  test('a variation resembles its picture, the less the greater its strength', async () => {
    const face = await sharp('examples/face-1.png').png().toBuffer();
    const distance = async (strength: number) => {
      const asked = { image: await file(face), strength, seed: 3 } as OpenAI.ImageCreateVariationParams;
      const { data } = await client.images.createVariation(asked);
      const [before, after] = await Promise.all([face, decoded(data?.[0].b64_json)].map(pixels));
      return before.reduce((sum, value, i) => sum + Math.abs(value - after[i]), 0) / before.length;
    };
    const [near, far] = [await distance(0.3), await distance(1)];
    expect(near).toBeGreaterThan(0);
    expect(near).toBeLessThan(far / 2);
  });

  test('a variation says how it was made', async () => {
    const asked = { image: await file(readFileSync('examples/face-1.png')), strength: 0.3, seed: 3 };
    const { data } = await client.images.createVariation(asked as OpenAI.ImageCreateVariationParams);
    expect(await readMetadata(decoded(data?.[0].b64_json))).toMatchObject({ strength: 0.3, seed: 3 });
  });

  test('a picture that is not square has no variations', async () => {
    const error = await refusal(client.images.createVariation({ image: await file(image) }));
    expect(error).toMatchObject({ status: 400, param: 'image' });
  });
});

test('the list of models has the shape of both APIs', async () => {
  const { data } = await client.models.list();
  expect(data[0]).toMatchObject({ object: 'model', id: service.registry.get().ref });
  expect(data[0].created).toBeGreaterThan(1_600_000_000);
  const { body } = await request(service.url).get('/v1/models');
  expect(body.models).toEqual(body.data);
  expect((await client.models.retrieve(data[0].id)).id).toBe(data[0].id);
});

describe('the AI SDK', () => {
  const providers = {
    openai: () => createOpenAI({ baseURL: `${service.url}/v1`, apiKey: 'none' }),
    compatible: () => createOpenAICompatible({ name: 'local', baseURL: `${service.url}/v1` }),
  };
  test.each(Object.entries(providers))('%s fills holes', async (_, provider) => {
    const model = provider().imageModel(service.registry.get().ref);
    const { images } = await generateImage({ model, prompt: { text: 'x', images: [image], mask }, n: 2 });
    expect(images).toHaveLength(2);
    const [before, after] = await Promise.all([image, images[0].uint8Array].map(pixels));
    expect(after.subarray(0, WIDTH * 3).equals(before.subarray(0, WIDTH * 3))).toBe(true);
    expect(after.equals(before)).toBe(false);
  });

  test.each(Object.entries(providers))('%s understands errors', async (_, provider) => {
    const call = generateImage({ model: provider().imageModel('none'), prompt: 'x', maxRetries: 0 });
    const error = await call.catch((thrown: unknown) => thrown);
    expect(APICallError.isInstance(error) && error.message).toMatch(/there is no model none/);
  });
});
