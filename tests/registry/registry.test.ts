import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FolderRegistry, UnknownModelError } from '../../src/registry/registry.ts';
import { openRealRegistry } from '../helpers/model.ts';

const engine = { engine: 'onnx', device: 'cpu', queueLimit: 4 } as const;
let modelDir: string;
let id: string;
const errors: string[] = [];
const log = { info() {}, warn() {}, error: (message: string) => errors.push(message) };

beforeEach(async () => {
  modelDir = await mkdtemp(path.join(os.tmpdir(), 'models-'));
  errors.length = 0;
  id = (await openRealRegistry()).get().card.id;
});
afterEach(() => rm(modelDir, { recursive: true }));

const folder = (version: string) => path.join(modelDir, id, version);

/** A copy of the real model as another version; `change` edits its model.json. */
async function addVersion(version: string, change: (card: Record<string, unknown>) => void = () => {}) {
  await cp((await openRealRegistry()).get().folder, folder(version), { recursive: true });
  const file = path.join(folder(version), 'model.json');
  const card = JSON.parse(await readFile(file, 'utf8'));
  card.version = version;
  change(card);
  await writeFile(file, JSON.stringify(card));
}

const open = (defaultModel?: string) => FolderRegistry.open({ modelDir, defaultModel, engine, log });

test('finds versions, newest first by number, and resolves references', async () => {
  for (const version of ['9', '10', '2']) await addVersion(version);
  const registry = await open();
  expect(registry.list().map(({ ref }) => ref)).toEqual([`${id}@10`, `${id}@9`, `${id}@2`]);
  expect(registry.get().ref).toBe(`${id}@10`);
  expect(registry.get(id).ref).toBe(`${id}@10`);
  expect(registry.get(`${id}@2`).ref).toBe(`${id}@2`);
  expect(() => registry.get('nobody')).toThrow(UnknownModelError);
  expect(() => registry.get(`${id}@3`)).toThrow(`there are ${id}@10, ${id}@9, ${id}@2`);
  expect((await open(`${id}@9`)).get().ref).toBe(`${id}@9`);
  await expect(open('nobody')).rejects.toThrow('DEFAULT_MODEL nobody');
});

test('is ready once the default model is loaded', async () => {
  await addVersion('1');
  const registry = await open();
  expect(registry.ready).toBe(false);
  expect(registry.notReadyReason).toContain('loading');
  const opening = registry.get().open();
  expect(registry.get().state).toBe('loading');
  await opening;
  expect(registry.ready).toBe(true);
  expect(registry.get().engine).toMatchObject({ engine: 'onnx', device: 'cpu' });
  await registry.close();
});

test('a changed file is refused by its digest, and the other version still loads', async () => {
  await addVersion('1');
  await addVersion('2');
  const file = path.join(folder('2'), 'unet.onnx');
  const bytes = await readFile(file);
  bytes[bytes.length >> 1] ^= 1;
  await writeFile(file, bytes);
  const registry = await open();
  await expect(registry.get(`${id}@2`).open()).rejects.toThrow('sha256 differs');
  expect(registry.get(`${id}@2`)).toMatchObject({
    state: 'failed',
    reason: expect.stringContaining('unet.onnx'),
  });
  expect(registry.notReadyReason).toContain('failed to load');
  await registry.get(`${id}@1`).open();
  expect(registry.get(`${id}@1`).state).toBe('ready');
  await registry.close();
});

test('a folder that is no model is left out and said so, naming the field', async () => {
  await addVersion('1');
  await addVersion('2', (card) => {
    card.prediction = 'noise';
  });
  await addVersion('3', (card) => {
    card.version = '4';
  });
  await mkdir(folder('5'), { recursive: true });
  await writeFile(path.join(folder('5'), 'model.json'), '{"id":');
  const registry = await open();
  expect(registry.list().map(({ ref }) => ref)).toEqual([`${id}@1`]);
  expect(errors).toHaveLength(3);
  expect(errors.join()).toMatch(/2.model\.json is not a model card:.*prediction/s);
  expect(errors.join()).toMatch(/says .*\/4, but lies in .*\/3/);
  expect(errors.join()).toMatch(/5.model\.json cannot be read/);
});

test('no model at all is a sentence that names the setting', async () => {
  await expect(open()).rejects.toThrow(/no model in .*MODEL_DIR/);
  await expect(FolderRegistry.open({ modelDir: '/nowhere', engine })).rejects.toThrow(/MODEL_DIR \/nowhere/);
});
