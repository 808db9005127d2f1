import { readFileSync } from 'node:fs';
import request from 'supertest';
import { expect, test, vi } from 'vitest';
import { ModelLoadError } from '../../src/registry/served-model.ts';
import { maskOf, pngOf, startApp } from '../helpers/app.ts';
import { startFakeApp } from './fake-app.ts';

test('metrics record the brightness of the input and its distance from the training data', async () => {
  const { app, registry, url } = await startApp();
  const inpaint = async (image: Buffer, mask: Buffer) => {
    const post = request(url)
      .post('/v1/inpaint')
      .attach('image', image, 'i.png')
      .attach('mask', mask, 'm.png');
    expect((await post.field('steps', '1')).status).toBe(200);
  };
  const file = (name: string) => readFileSync(`examples/${name}.png`);
  for (const n of [1, 2, 3]) await inpaint(file(`face-${n}`), file(`mask-${n}`));
  await inpaint(await pngOf(64, 64), await maskOf(64, 64)); // a pattern
  await inpaint(await pngOf(64, 64), await maskOf(64, 64, 1)); // no known pixels, so nothing is recorded

  const { text } = await request(url).get('/metrics');
  const { ref } = registry.get();
  expect(text).toContain(`ddpm_inpaint_input_distance_bucket{le="2",model="${ref}"} 3`);
  expect(text).toContain(`ddpm_inpaint_input_distance_count{model="${ref}"} 4`);
  expect(text).toContain('ddpm_inpaint_input_brightness_count 4');
  expect(text).toContain('ddpm_inpaint_mask_fraction_count 5');
  expect(text).toContain('ddpm_inpaint_picture_megapixels_count 5');
  await app.close();
});

test('errors that end a stream are counted like others, by problem', async () => {
  const { app, registry, url } = await startFakeApp();
  const count = async () => {
    const { text } = await request(url).get('/metrics');
    return Number(/failures_total\{reason="engine-failure"\} (\d+)/.exec(text)?.[1]);
  };
  registry.engine.failing = true;
  const { status, text } = await request(url)
    .post('/v1/sample')
    .set('accept', 'text/event-stream')
    .buffer(true)
    .send({});
  expect(status).toBe(200);
  expect(text).toContain('event: error');
  expect(await count()).toBe(1);
  const picture = { prompt: 'x', stream: true, model: 'fake' };
  expect((await request(url).post('/v1/images/generations').buffer(true).send(picture)).status).toBe(200);
  expect(await count()).toBe(2);
  await app.close();
});

test('a job that fails before its first evaluation is counted', async () => {
  const { app, registry, url } = await startFakeApp();
  const broken = vi.spyOn(registry.get('fake'), 'open');
  broken.mockRejectedValue(new ModelLoadError('fake@1', new Error('a file is missing')));
  await request(url).post('/v1/jobs').send({ task: 'sample' }).expect(202);
  const metrics = async () => (await request(url).get('/metrics')).text;
  await expect.poll(metrics).toMatch(/^ddpm_inpaint_jobs_failed_total\{reason="[a-z-]+"\} 1$/m);
  await app.close();
});

test('failures are counted per model, so that a canary can be compared', async () => {
  const { app, registry, url } = await startFakeApp();
  registry.engine.failing = true;
  await request(url).post('/v1/sample').send({});
  const { text } = await request(url).get('/metrics');
  expect(text).toContain(
    'ddpm_inpaint_request_failures_total{task="sample",model="fake@1",reason="engine-failure"} 1',
  );
  await app.close();
});
