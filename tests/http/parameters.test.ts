import sharp from 'sharp';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { gaussian } from '../../src/diffusion/noise.ts';
import { createSampler, type SamplerName } from '../../src/diffusion/samplers/index.ts';
import type { SamplerState } from '../../src/diffusion/samplers/sampler.ts';
import { cosine } from '../../src/diffusion/schedule.ts';
import { square } from '../../src/image/picture.ts';
import { tensorToPicture } from '../../src/image/region.ts';
import { maskOf, pngOf, startApp } from '../helpers/app.ts';
import { readMetadata } from '../helpers/metadata.ts';
import { startFakeApp } from './fake-app.ts';

// Every parameter of a request changes the picture in the way that it is documented to. The fake model predicts zeros,
// so that what a sampler makes of them can be computed here.
const RESOLUTION = 8;
const LENGTH = 3 * RESOLUTION ** 2;

let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeAll(async () => {
  service = await startFakeApp();
});
afterAll(() => service.app.close());

const post = (path: string, body: object, accept = 'image/png') =>
  request(service.url).post(path).set('accept', accept).buffer(true).send(body);
const pixels = async (file: Buffer) => [...(await sharp(file).raw().toBuffer())];

/** What the sampler draws for candidate 0, as bytes. */
function drawn(sampler: SamplerName, steps: number, eta: number, seed: number): number[] {
  const { timesteps, next } = createSampler(sampler, {
    schedule: cosine(100),
    prediction: 'epsilon',
    steps,
    eta,
  });
  const noise = (step: number) => gaussian({ seed, candidate: 0, step }, LENGTH);
  let state: SamplerState = { step: 0, x: noise(0) };
  for (const _ of timesteps) {
    const { step } = state;
    state = next(state, new Float32Array(LENGTH), () => noise(step + 1));
  }
  return [...tensorToPicture(state.x, square(RESOLUTION)).data];
}

describe('sampler, steps, eta, seed', () => {
  const sample = async (body: object) => pixels((await post('/v1/sample', body)).body);

  test('eta 0, 0.5 and 1 are three pictures, each what the sampler gives', async () => {
    const pictures = await Promise.all(
      [0, 0.5, 1].map(async (eta) => {
        const found = await sample({ sampler: 'ddim', steps: 6, seed: 9, eta });
        expect(found).toEqual(drawn('ddim', 6, eta, 9));
        return found.join();
      }),
    );
    expect(new Set(pictures).size).toBe(3);
  });

  test.each([
    ['ddpm', 5],
    ['ddim', 7],
    ['dpmpp_2m', 6],
  ] as const)('%s in %i steps', async (sampler, steps) => {
    expect(await sample({ sampler, steps, seed: 2 ** 32 - 1 })).toEqual(
      drawn(sampler, steps, 0, 2 ** 32 - 1),
    );
  });

  test("what is absent comes from the model's card: ddim, 4 steps, eta 0", async () => {
    const { body, headers } = await post('/v1/sample', { seed: 3 });
    expect(await pixels(body)).toEqual(drawn('ddim', 4, 0, 3));
    expect(headers['x-steps']).toBe('4');
  });
});

describe('windows', () => {
  /** 200 x 160 pixels, with a scratch of 2 pixels and a hole of 4 x 4 far from it. */
  let image: string;
  let mask: string;
  beforeAll(async () => {
    image = (await pngOf(200, 160)).toString('base64');
    const shapes = '<rect x="20" y="20" width="60" height="2"/><rect x="180" y="140" width="4" height="4"/>';
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="160" fill="white"><rect width="200" height="160" fill="black"/>${shapes}</svg>`;
    mask = (await sharp(Buffer.from(svg)).png().toBuffer()).toString('base64');
  });
  const fill = (body: object, accept = 'application/json') =>
    post('/v1/inpaint', { image, mask, seed: 1, ...body }, accept);

  test('auto fills a picture larger than the model in windows, and the answer has the plan', async () => {
    const { body } = await fill({});
    expect(body.strategy).toBe('windows');
    const { regions, evaluations } = body.plan;
    expect(regions).toHaveLength(2);
    let windows = 0;
    for (const { levels } of regions) {
      expect(levels).toHaveLength(1);
      expect(levels[0]).toMatchObject({ network: 'base', scale: 1 });
      windows += levels[0].windows.length;
      for (const { width, height } of levels[0].windows) expect([width, height]).toEqual([8, 8]);
    }
    expect(regions[1].levels[0].windows).toEqual([{ left: 178, top: 138, width: 8, height: 8 }]);
    expect(evaluations).toBe(4 * windows); // 4 steps
    expect(body.box).toEqual({ left: 18, top: 17, width: 168, height: 129 });
  });

  test('pixels outside the hole are unchanged, and both holes are filled', async () => {
    const [before, after] = [
      await pixels(Buffer.from(image, 'base64')),
      await pixels((await fill({}, 'image/png')).body),
    ];
    const hole = await sharp(Buffer.from(mask, 'base64')).greyscale().raw().toBuffer();
    const changed = new Set<number>();
    for (const [i, byte] of before.entries()) if (byte !== after[i]) changed.add(Math.floor(i / 3));
    for (const pixel of changed) expect(hole[pixel]).toBe(255);
    expect(changed.has(21 * 200 + 50)).toBe(true);
    expect(changed.has(141 * 200 + 181)).toBe(true);
  });

  test('more evaluations than MAX_EVALUATIONS: auto fills at a coarser scale, windows is refused with the numbers', async () => {
    const small = await startFakeApp({ MAX_EVALUATIONS: '100' });
    const body = { image, mask, seed: 1, steps: 20 };
    const send = (strategy: string) =>
      request(small.url)
        .post('/v1/inpaint')
        .set('accept', 'application/json')
        .send({ ...body, strategy });
    const auto = await send('auto');
    expect(auto.status).toBe(200);
    expect(auto.body.plan.evaluations).toBeLessThanOrEqual(100);
    expect(auto.body.plan.regions[0].levels[0].scale).toBeLessThan(1);
    const refused = await send('windows');
    expect(refused.status).toBe(400);
    expect(refused.body.errors[0]).toMatchObject({ pointer: '#/strategy' });
    expect(refused.body.detail).toMatch(
      /needs \d+ evaluations for an image, more than 100 \(MAX_EVALUATIONS\)/,
    );
    await small.app.close();
  });

  test('more steps than MAX_EVALUATIONS are refused with auto too', async () => {
    const real = await startApp({ MAX_EVALUATIONS: '100' });
    const large = (await maskOf(200, 160)).toString('base64');
    const { status, body } = await request(real.url)
      .post('/v1/inpaint')
      .send({ image, mask: large, steps: 101 });
    expect([status, body.errors[0].pointer]).toEqual([400, '#/steps']);
    expect(body.detail).toMatch(/more than 100 \(MAX_EVALUATIONS\): use fewer steps or a smaller picture$/);
    await real.app.close();
  });

  test('mask_grow grows the hole', async () => {
    const changed = async (mask_grow: number) => {
      const after = await pixels((await fill({ mask_grow }, 'image/png')).body);
      const before = await pixels(Buffer.from(image, 'base64'));
      return before[(144 * 200 + 181) * 3] !== after[(144 * 200 + 181) * 3];
    };
    expect([await changed(0), await changed(3)]).toEqual([false, true]);
    const { status, body } = await fill({ mask_grow: -9 });
    expect([status, body.errors[0].pointer]).toEqual([400, '#/mask_grow']);
  });
});

describe('strategy, padding, mask_blur', () => {
  let image: string;
  let mask: string;
  beforeAll(async () => {
    const grey = { create: { width: 100, height: 60, channels: 3 as const, background: '#646464' } };
    image = (await sharp(grey).png().toBuffer()).toString('base64');
    mask = (await maskOf(100, 60)).toString('base64'); // 50 x 30 at (25, 15)
  });
  const answer = async (body: object) =>
    (await post('/v1/inpaint', { image, mask, seed: 1, ...body }, 'application/json')).body;

  test('padding is the context around the hole of a crop, and crop or resize are as asked for', async () => {
    const box = { left: 22, top: 2, width: 56, height: 56 };
    expect(await answer({ strategy: 'crop', padding: 3 })).toMatchObject({ strategy: 'crop', box });
    const whole = { left: 0, top: 0, width: 100, height: 60 };
    expect(await answer({ strategy: 'resize' })).toMatchObject({ strategy: 'resize', box: whole });
  });

  test('mask_blur fades the filling in from the edge of the hole', async () => {
    const row = async (mask_blur: number) => {
      const { images } = await answer({ mask_blur });
      const all = await pixels(Buffer.from(images[0].data, 'base64'));
      return Array.from({ length: 100 }, (_, x) => all[(30 * 100 + x) * 3]);
    };
    const [sharpEdge, blurred] = [await row(0), await row(4)];
    for (let depth = 1; depth <= 5; depth++) {
      const x = 25 + depth - 1;
      const weight = depth / 5;
      expect(blurred[x]).toBe(Math.round(weight * sharpEdge[x] + (1 - weight) * 100));
    }
    expect(blurred).not.toEqual(sharpEdge);
  });
});

describe('format and quality', () => {
  test('pictures inside JSON have the format asked for', async () => {
    for (const format of ['webp', 'jpeg', 'png']) {
      const { body } = await post('/v1/sample', { format, num_images: 2 }, 'application/json');
      expect(body.format).toBe(format);
      for (const { data } of body.images)
        expect((await sharp(Buffer.from(data, 'base64')).metadata()).format).toBe(format);
    }
  });

  test('quality is passed on to the encoder', async () => {
    const image = (await pngOf(64, 64)).toString('base64');
    const mask = (await maskOf(64, 64)).toString('base64');
    const length = async (quality: number) =>
      (await post('/v1/inpaint', { image, mask, quality }, 'image/jpeg')).body.length;
    expect(await length(20)).toBeLessThan(0.8 * (await length(95)));
  });

  test.each([
    ['png', 'picture.png'],
    ['jpeg', 'picture.jpg'],
    ['webp', 'picture.webp'],
  ])('a %s is called %s', async (format, name) => {
    const { headers } = await post('/v1/sample', { seed: 1 }, `image/${format}`);
    expect(headers['content-disposition']).toBe(`inline; filename="${name}"`);
  });
});

test('every candidate says which one it is, and is drawn again by what it says of itself', async () => {
  const { body } = await post('/v1/sample', { seed: 5, num_images: 3, steps: 3 }, 'application/json');
  const said = await Promise.all(
    body.images.map(({ data }: { data: string }) => readMetadata(Buffer.from(data, 'base64'))),
  );
  expect(said.map(({ candidate }) => candidate)).toEqual([0, 1, 2]);
  const { candidate, format: _, precision: __, ...parameters } = said[2];
  const again = await post('/v1/sample', parameters, 'application/json');
  const file = (answer: typeof body) => Buffer.from(answer.images[candidate].data, 'base64');
  expect(await pixels(file(again.body))).toEqual(await pixels(file(body)));
});

test.each(['low', 'high'])('priority %s reaches the scheduler', async (priority) => {
  const run = vi.spyOn(service.registry.scheduler, 'run');
  const image = (await pngOf(8, 8)).toString('base64');
  const mask = (await maskOf(8, 8)).toString('base64');
  await post('/v1/sample', { priority });
  await post('/v1/inpaint', { image, mask, priority });
  expect(run.mock.calls.map(([, options]) => options?.priority)).toEqual([priority, priority]);
  run.mockRestore();
});

test('metrics: steps of all candidates; how bright the picture is, from 0 to 1', async () => {
  const { url, app } = await startFakeApp();
  const background = '#333333'; // 51 of 255
  const grey = sharp({ create: { width: 16, height: 16, channels: 3, background } });
  const image = (await grey.png().toBuffer()).toString('base64');
  const mask = (await maskOf(16, 16)).toString('base64');
  const parameters = { sampler: 'ddpm', steps: 5, num_images: 3 };
  await request(url)
    .post('/v1/inpaint')
    .set('accept', 'application/json')
    .send({ image, mask, ...parameters });
  const { text } = await request(url).get('/metrics');
  await app.close();
  expect(text).toContain('ddpm_inpaint_denoising_steps_total{model="fake@1",sampler="ddpm"} 15');
  const brightness = /^ddpm_inpaint_input_brightness_sum (\S+)$/m.exec(text)?.[1];
  expect(Number(brightness)).toBeCloseTo(0.2, 6);
  expect(text).toContain('ddpm_inpaint_mask_fraction_sum 0.25');
});

describe('POST /v1/diffuse', () => {
  test('noises the middle square: one noise, drawn from the seed, for all timesteps', async () => {
    const width = 24;
    const data = Buffer.alloc(width * 8 * 3);
    for (let i = 0; i < data.length; i++) data[i] = (i * 37) & 255;
    const image = await sharp(data, { raw: { width, height: 8, channels: 3 } })
      .png()
      .toBuffer();
    const timesteps = [0, 50, 99];
    const body = { image: image.toString('base64'), timesteps, seed: 6 };
    const answer = await post('/v1/diffuse', body, 'application/json');
    const epsilon = gaussian({ seed: 6, candidate: 0, step: 0 }, LENGTH);
    for (const [n, t] of timesteps.entries()) {
      const abar = cosine(100).abar[t];
      const expected = Float32Array.from({ length: LENGTH }, (_, i) => {
        const [channel, y, x] = [Math.floor(i / 64), Math.floor((i % 64) / 8), i % 8];
        const x0 = data[(y * width + x + 8) * 3 + channel] / 127.5 - 1;
        return Math.sqrt(abar) * x0 + Math.sqrt(1 - abar) * epsilon[i];
      });
      expect(answer.body.images[n]).toMatchObject({ timestep: t, abar });
      const found = await pixels(Buffer.from(answer.body.images[n].data, 'base64'));
      const bytes = [...tensorToPicture(expected, square(RESOLUTION)).data];
      // The service rounds x_0 to fp32 first: a value half-way between two levels may fall to either side.
      for (const [i, byte] of bytes.entries()) expect(Math.abs(found[i] - byte)).toBeLessThanOrEqual(1);
    }
  });
});
