import sharp from 'sharp';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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

test('ENGINE=tfjs refuses it with a sentence', async () => {
  const engine = { engine: 'tfjs', device: 'cpu', queueLimit: 8 } as const;
  const registry = await FolderRegistry.open({ modelDir: IMPORTED_DIR, engine });
  await expect(registry.get('tiny-diffusers').open()).rejects.toThrow(
    'because its model.json has no architecture: use ENGINE=onnx',
  );
  await registry.close();
});
