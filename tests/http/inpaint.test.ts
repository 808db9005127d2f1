import sharp from 'sharp';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { maskOf, pngOf, rgb, startApp, type TestApp } from '../helpers/app.ts';
import { readMetadata } from '../helpers/metadata.ts';

let service: TestApp;
let image: Buffer;
let mask: Buffer;
beforeAll(async () => {
  service = await startApp();
  image = await pngOf(64, 64);
  mask = await maskOf(64, 64);
});
afterAll(() => service.app.close());

/** A form with a picture and a mask, and three steps for speed. */
const form = (files: { image?: Buffer; mask?: Buffer } = {}) => {
  const post = request(service.url)
    .post('/v1/inpaint')
    .attach('image', files.image ?? image, 'image.png');
  return post
    .attach('mask', files.mask ?? mask, 'mask.png')
    .field('steps', '3')
    .field('seed', '7');
};
const json = (body: object, accept = 'application/json') =>
  request(service.url).post('/v1/inpaint').set('accept', accept).send(body);
const pixels = (file: Buffer) => sharp(file).raw().toBuffer();

describe('a filled picture', () => {
  test('is a PNG with unchanged known pixels and metadata about its creation', async () => {
    const { body, status, headers } = await form().buffer(true);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'image/png',
      'x-seed': '7',
      'x-steps': '3',
      'x-model': expect.stringMatching(/^[\w.-]+@\d+$/),
      'x-precision': 'fp32',
      'server-timing': expect.stringMatching(/decode;dur=\d+, queue;dur=\d+, denoise;dur=\d+/),
      'x-request-id': expect.stringMatching(/^[\w-]{36}$/),
    });
    const [before, after] = await Promise.all([pixels(image), pixels(body)]);
    for (let p = 0; p < 64 * 64; p++) {
      const inHole = p % 64 >= 16 && p % 64 < 48 && p >= 16 * 64 && p < 48 * 64;
      if (!inHole) expect(after.readUIntBE(p * 3, 3)).toBe(before.readUIntBE(p * 3, 3));
    }
    expect(after.equals(before)).toBe(false);
    expect(await readMetadata(body)).toMatchObject({
      seed: 7,
      steps: 3,
      precision: 'fp32',
      model: headers['x-model'],
    });
  });

  test('has the same bytes from a form and from JSON, base64 or data: URL, alone or with other requests', async () => {
    const alone = await form().buffer(true);
    const others = Array.from({ length: 7 }, (_, i) =>
      form()
        .field('eta', i / 10)
        .field('num_images', 1),
    );
    const [beside, base64, dataUrl] = await Promise.all([
      form().buffer(true),
      json(
        { image: image.toString('base64'), mask: mask.toString('base64'), steps: 3, seed: 7 },
        'image/png',
      ),
      json(
        {
          image: `data:image/png;base64,${image.toString('base64')}`,
          mask: mask.toString('base64'),
          steps: 3,
          seed: 7,
        },
        'image/*',
      ),
      ...others,
    ]);
    for (const { body } of [beside, base64, dataUrl]) expect(body.equals(alone.body)).toBe(true);
  });

  test('has 16 bits per channel if the image has, and EXIF if asked', async () => {
    const numbers = Uint16Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7919) & 0xffff);
    const deep = await sharp(numbers, { raw: { width: 64, height: 64, channels: 3 } })
      .toColourspace('rgb16')
      .withExif({ IFD0: { Copyright: 'a photographer' } })
      .png()
      .toBuffer();
    const [kept, stripped] = await Promise.all([
      form({ image: deep }).field('metadata', 'keep').buffer(true),
      form({ image: deep }).buffer(true),
    ]);
    const { data } = await sharp(stripped.body)
      .toColourspace('rgb16')
      .raw({ depth: 'ushort' })
      .toBuffer({ resolveWithObject: true });
    const firstRows = 16 * 64 * 3; // above the hole
    expect([...new Uint16Array(data.buffer, data.byteOffset, firstRows)]).toEqual([
      ...numbers.subarray(0, firstRows),
    ]);
    expect((await sharp(kept.body).metadata()).exif?.includes('a photographer')).toBe(true);
    expect((await sharp(stripped.body).metadata()).exif).toBeUndefined();
    const refused = await form().field('metadata', 'all');
    expect(refused.body.errors).toMatchObject([{ pointer: '#/metadata' }]);
  });

  test('without a mask the transparent pixels are the hole', async () => {
    const data = await rgb(64, 64, 4).raw().toBuffer();
    for (let p = 0; p < 64 * 64; p++) data[p * 4 + 3] = p % 64 < 20 ? 0 : 255;
    const transparent = await sharp(data, { raw: { width: 64, height: 64, channels: 4 } })
      .png()
      .toBuffer();
    const post = request(service.url)
      .post('/v1/inpaint')
      .attach('image', transparent, 'a.png')
      .field('steps', '2');
    const { body, status } = await post.buffer(true);
    expect(status).toBe(200);
    const after = await pixels(body);
    expect((await sharp(body).metadata()).channels).toBe(4);
    for (let p = 0; p < 64 * 64; p++) expect(after[p * 4 + 3]).toBe(255);
    expect(after.subarray(20 * 4, 64 * 4)).toEqual(data.subarray(20 * 4, 64 * 4));
  });

  test('candidates are returned as JSON, with their uncertainty', async () => {
    const { body, status } = await form().field('num_images', '3').set('accept', 'application/json');
    expect(status).toBe(200);
    expect(body).toMatchObject({ seed: 7, steps: 3, num_images: 3, strategy: 'resize', mask_fraction: 0.25 });
    expect(body.box).toEqual({ left: 0, top: 0, width: 64, height: 64 });
    const pictures = await Promise.all(
      body.images.map(({ data }: { data: string }) => pixels(Buffer.from(data, 'base64'))),
    );
    expect(pictures).toHaveLength(3);
    expect(pictures[0].equals(pictures[1])).toBe(false);
    const map = await sharp(Buffer.from(body.uncertainty, 'base64')).metadata();
    expect(map).toMatchObject({ width: 64, height: 64, format: 'png' });
  });

  test('a missing seed is drawn at random and reported, and reproduces the picture', async () => {
    const first = await request(service.url)
      .post('/v1/inpaint')
      .attach('image', image, 'i.png')
      .attach('mask', mask, 'm.png')
      .field('steps', '2');
    const again = await request(service.url)
      .post('/v1/inpaint')
      .attach('image', image, 'i.png')
      .attach('mask', mask, 'm.png')
      .field('steps', '2')
      .field('seed', first.headers['x-seed']);
    expect(again.body.equals(first.body)).toBe(true);
  });

  test.each([
    ['image/webp', undefined, 'image/webp'],
    ['image/jpeg;q=0.5, image/webp;q=0.9', undefined, 'image/webp'],
    ['*/*', undefined, 'image/png'],
    ['*/*', 'jpeg', 'image/jpeg'],
    ['application/json', 'webp', 'application/json'],
    ['application/json;charset=utf-8', undefined, 'application/json'],
    ['application/json; charset="UTF-8", text/plain, */*', undefined, 'application/json'],
  ])('Accept %s with format %s is answered as %s', async (accept, format, type) => {
    const post = form().set('accept', accept);
    const { status, headers } = await (format ? post.field('format', format) : post);
    expect(status).toBe(200);
    expect(headers['content-type']).toContain(type);
  });

  test('a page that prefers WebP gets known pixels unchanged, if the image is lossless', async () => {
    const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8';
    const { body, headers } = await form().set('accept', accept).buffer(true);
    expect(headers['content-type']).toBe('image/webp');
    const [before, after] = await Promise.all([pixels(image), pixels(body)]);
    expect(after.subarray(0, 16 * 64 * 3).equals(before.subarray(0, 16 * 64 * 3))).toBe(true);
  });

  test('all supported kinds of pictures work: 16-bit, palette, grey, animated, rotated', async () => {
    const frames = Buffer.concat([await rgb(32, 32).raw().toBuffer(), Buffer.alloc(32 * 32 * 3, 90)]);
    const pictures = {
      '16-bit': await rgb(32, 32).toColourspace('rgb16').png().toBuffer(),
      palette: await rgb(32, 32).png({ palette: true }).toBuffer(),
      grey: await rgb(32, 32).greyscale().png().toBuffer(),
      cmyk: await rgb(32, 32).toColourspace('cmyk').jpeg().toBuffer(),
      animated: await sharp(frames, { raw: { width: 32, height: 64, channels: 3, pageHeight: 32 } })
        .gif()
        .toBuffer(),
      avif: await rgb(32, 32).avif().toBuffer(),
      tiff: await rgb(32, 32).tiff().toBuffer(),
    };
    const small = await maskOf(32, 32);
    for (const [name, picture] of Object.entries(pictures)) {
      const { status, body } = await form({ image: picture, mask: small });
      expect(status, name).toBe(200);
      expect(await sharp(body).metadata(), name).toMatchObject({ width: 32, height: 32 });
    }
    const rotated = await rgb(40, 20).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const { body } = await form({ image: rotated, mask: await maskOf(20, 40) });
    expect(await sharp(body).metadata()).toMatchObject({ width: 20, height: 40 });
  });

  test.each([
    [1, 1],
    [10_000, 1],
    [4000, 3000],
  ])('a picture of %i x %i works', async (width, height) => {
    const picture = await pngOf(width, height);
    const { status, body } = await form({ image: picture, mask: await maskOf(width, height, 0.1) });
    expect(status).toBe(200);
    expect(await sharp(body).metadata()).toMatchObject({ width, height });
  });

  test('a mask that covers the whole picture gives an unconditional sample', async () => {
    const { status } = await form({ mask: await maskOf(64, 64, 1) });
    expect(status).toBe(200);
  });
});

describe('POST /v1/sample', () => {
  test('draws pictures', async () => {
    const { status, body } = await request(service.url).post('/v1/sample').send({ seed: 1, steps: 2 });
    expect(status).toBe(200);
    expect(await sharp(body).metadata()).toMatchObject({ width: 64, height: 64 });
    const many = await request(service.url).post('/v1/sample').send({ seed: 1, steps: 2, num_images: 2 });
    expect(many.body.images).toHaveLength(2);
    const first = Buffer.from(many.body.images[0].data, 'base64');
    expect((await pixels(first)).equals(await pixels(body))).toBe(true);
  });
});

describe('POST /v1/diffuse', () => {
  test('returns a strip, or an image for each timestep, with increasing noise', async () => {
    const strip = await request(service.url)
      .post('/v1/diffuse')
      .attach('image', image, 'i.png')
      .field('timesteps', '0,999')
      .field('seed', '1');
    expect(await sharp(strip.body).metadata()).toMatchObject({ width: 128, height: 64 });
    const { body } = await request(service.url)
      .post('/v1/diffuse')
      .set('accept', 'application/json')
      .send({ image: image.toString('base64'), timesteps: [0, 300, 999], seed: 1 });
    const before = await pixels(image);
    const distances = await Promise.all(
      body.images.map(async ({ data }: { data: string }) => {
        const after = await pixels(Buffer.from(data, 'base64'));
        return after.reduce((sum, byte, i) => sum + Math.abs(byte - before[i]), 0);
      }),
    );
    expect(distances).toEqual([...distances].sort((a, b) => a - b));
    expect(body.images.map(({ abar }: { abar: number }) => abar)[2]).toBeLessThan(1e-4);
  });
});
