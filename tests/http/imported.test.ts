import sharp from 'sharp';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toProblem } from '../../src/http/to-problem.ts';
import { FolderRegistry } from '../../src/registry/registry.ts';
import { maskOf, pngOf, startApp, type TestApp } from '../helpers/app.ts';
import { IMPORTED_DIR } from '../helpers/model.ts';

let service: TestApp;
beforeAll(async () => {
  service = await startApp({ MODEL_DIR: IMPORTED_DIR });
});
afterAll(() => service.app.close());

const pixels = (file: Buffer) => sharp(file).raw().toBuffer();

describe.each(['tiny-diffusers', 'tiny-guided'])('%s, an imported model', (model) => {
  test('fills a hole, and the known pixels stay as they are', async () => {
    const image = await pngOf(16, 16);
    const mask = await maskOf(16, 16);
    const filled = await request(service.url)
      .post('/v1/inpaint')
      .attach('image', image, 'image.png')
      .attach('mask', mask, 'mask.png')
      .field({ model, seed: '7', steps: '12' })
      .buffer(true);
    expect(filled.status).toBe(200);
    const [before, after] = await Promise.all([pixels(image), pixels(filled.body)]);
    let changed = 0;
    for (let p = 0; p < 16 * 16; p++) {
      const inHole = p % 16 >= 4 && p % 16 < 12 && p >= 4 * 16 && p < 12 * 16;
      const same = after.readUIntBE(p * 3, 3) === before.readUIntBE(p * 3, 3);
      if (inHole) changed += same ? 0 : 1;
      else expect(same).toBe(true);
    }
    expect(changed).toBeGreaterThan(32);
  });

  test('draws pictures from noise, which depend on the seed', async () => {
    const draw = (seed: number) =>
      request(service.url).post('/v1/sample').send({ model, seed, steps: 5 }).buffer(true);
    const [first, again, other] = await Promise.all([draw(1), draw(1), draw(2)]);
    expect(first.status).toBe(200);
    expect(await sharp(first.body).metadata()).toMatchObject({ width: 16, height: 16 });
    expect(first.body.equals(again.body)).toBe(true);
    expect(first.body.equals(other.body)).toBe(false);
  });
});

test('MAX_EVALUATIONS bounds fills with RePaint and samples, also those of jobs', async () => {
  const bounded = await startApp({ MODEL_DIR: IMPORTED_DIR, MAX_EVALUATIONS: '100' });
  const model = 'tiny-diffusers';
  const image = (await pngOf(16, 16)).toString('base64');
  const mask = (await maskOf(16, 16)).toString('base64');
  const post = (path: string, body: object) =>
    request(bounded.url)
      .post(path)
      .send({ model, ...body });
  for (const refused of [
    await post('/v1/inpaint', { image, mask }), // 50 steps, and 90 of jumps
    await post('/v1/jobs', { task: 'inpaint', image, mask }),
    await post('/v1/sample', { steps: 101 }),
    await post('/v1/jobs', { task: 'sample', steps: 101 }),
  ]) {
    expect(refused.status).toBe(400);
    expect(refused.body.errors[0]).toMatchObject({
      pointer: '#/steps',
      detail: expect.stringMatching(/takes 1\d\d evaluations .* more than 100 \(MAX_EVALUATIONS\)/),
    });
  }
  expect((await post('/v1/inpaint', { image, mask, steps: 30 })).status).toBe(200);
  expect((await post('/v1/sample', { steps: 100 })).status).toBe(200);
  const varied = (steps: number) =>
    request(bounded.url)
      .post('/v1/images/variations')
      .field({ model, steps, strength: 0.6 })
      .attach('image', Buffer.from(image, 'base64'), 'image.png');
  expect((await varied(150)).status).toBe(200); // it takes 90 of them
  expect((await varied(170)).body.error).toMatchObject({ param: 'steps' });
  await bounded.app.close();
});

test('ENGINE=tfjs refuses it, and clients are told why', async () => {
  const engine = { engine: 'tfjs', device: 'cpu' } as const;
  const registry = await FolderRegistry.open({ modelDir: IMPORTED_DIR, engine, queue: { limit: 8 } });
  const error = await registry
    .get('tiny-diffusers')
    .open()
    .catch((thrown: unknown) => thrown);
  expect(toProblem(error, service.app.log)).toMatchObject({
    slug: 'engine-failure',
    message:
      'tiny-diffusers@1 cannot be loaded: TensorFlow.js cannot build this network, because its model.json has no ' +
      'architecture: use ENGINE=onnx',
  });
  await registry.close();
});
