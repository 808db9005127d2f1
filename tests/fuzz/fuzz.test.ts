import request from 'supertest';
import { expect, test } from 'vitest';
import { hashKey, newKey } from '../../src/config/api-keys.ts';
import { startApp } from '../helpers/app.ts';
import { ask, complaint } from './ask.ts';
import { drawCase } from './cases.ts';
import { drawCorpus } from './pictures.ts';

const CASES = 500;
const SEED = 20;
const CLIENTS = 8;

test(`${CASES} malformed requests: no 5xx, each error is a problem that names its field, and the service keeps working`, async () => {
  const apiKey = newKey();
  const env = { API_KEYS: `fuzz:${hashKey(apiKey).toString('hex')}`, MAX_UPLOAD_BYTES: '1000000' };
  const { app, registry, url } = await startApp(env);
  const target = { corpus: await drawCorpus(), apiKey };
  const { image, mask } = target.corpus.good;
  const good = async () => {
    const form = request(url).post('/v1/inpaint').set({ 'x-api-key': apiKey, accept: 'image/png' });
    const { status, body } = await form
      .field({ seed: 7, steps: 2 })
      .attach('image', image, 'i.png')
      .attach('mask', mask, 'm.png');
    expect(status).toBe(200);
    return body as Buffer;
  };
  const before = await good();
  const workers = registry.get().pool?.pids;

  const wrong: string[] = [];
  const statuses = new Set<number | undefined>();
  let next = 0;
  const client = async () => {
    while (next < CASES) {
      const number = next++;
      const drawn = drawCase(SEED, number, target);
      const answer = await ask(url, drawn);
      statuses.add(answer?.status);
      const why = complaint(drawn, answer);
      if (why) wrong.push(`${drawn.kind}, case ${number} of seed ${SEED}: ${why}`);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));

  expect(wrong).toEqual([]);
  for (const status of [200, 400, 401, 404, 413, 415, 431]) expect(statuses).toContain(status);
  expect(Buffer.compare(await good(), before)).toBe(0);
  expect(registry.get().pool?.pids).toEqual(workers); // no worker was restarted
  await app.close();
});
