import { afterAll, beforeAll, expect, test } from 'vitest';
import { pngOf } from '../helpers/app.ts';
import { startFakeApp } from './fake-app.ts';

let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeAll(async () => {
  service = await startFakeApp();
});
afterAll(() => service.app.close());

async function diffuse(fields: [name: string, value: string][]) {
  const body = new FormData();
  body.set('image', new Blob([new Uint8Array(await pngOf(8, 8))]), 'image.png');
  for (const [name, value] of fields) body.append(name, value);
  const headers = { accept: 'application/json' };
  const answer = await fetch(`${service.url}/v1/diffuse`, { method: 'POST', body, headers });
  const { images = [], errors } = (await answer.json()) as {
    images?: { timestep: number }[];
    errors?: { pointer: string }[];
  };
  return { status: answer.status, timesteps: images.map(({ timestep }) => timestep), errors };
}

test.each<[string, [string, string][]]>([
  ['separated by commas', [['timesteps', '1, 20,99']]],
  ['in any notation of numbers', [['timesteps', '1e0, +2.E+1, 990e-1']]],
  ['in a field each', ['1', '20', '99'].map((item) => ['timesteps[]', item])],
  [
    'in both ways',
    [
      ['timesteps[]', '1'],
      ['timesteps', ''],
      ['timesteps', '20,99'],
    ],
  ],
])('the items of a list may be sent %s', async (_, fields) => {
  expect(await diffuse(fields)).toMatchObject({ status: 200, timesteps: [1, 20, 99] });
});

test('too many items of a list are refused', async () => {
  const { status, errors } = await diffuse(Array.from({ length: 17 }, () => ['timesteps[]', '1']));
  expect([status, errors?.[0].pointer]).toEqual([400, '#/timesteps']);
});

test.each(['e1', '.', '1e', '+', '0x1', '1_0', '--1'])('%s is no number', async (text) => {
  const { status, errors } = await diffuse([['seed', text]]);
  expect([status, errors?.[0].pointer]).toEqual([400, '#/seed']);
});

test('a field that is no list may be sent once', async () => {
  const { status, errors } = await diffuse([
    ['seed', '1'],
    ['seed', '2'],
  ]);
  expect([status, errors?.[0].pointer]).toEqual([400, '#/seed']);
});
