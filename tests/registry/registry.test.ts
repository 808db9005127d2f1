import { mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FolderRegistry, UnknownModelError } from '../../src/registry/registry.ts';
import { ModelDir } from '../helpers/model-dir.ts';

const served = { engine: { engine: 'onnx', device: 'cpu' }, queue: { limit: 4 } } as const;
let models: ModelDir;
let modelDir: string;
let id: string;
const errors: string[] = [];
const warnings: string[] = [];
const log = {
  info() {},
  warn: (message: string) => warnings.push(message),
  error: (message: string) => errors.push(message),
};

beforeEach(async () => {
  models = await ModelDir.create();
  modelDir = models.root;
  id = models.id;
  errors.length = 0;
  warnings.length = 0;
});
afterEach(() => models.remove());

const open = (defaultModel?: string) => FolderRegistry.open({ modelDir, defaultModel, ...served, log });

test('finds versions, newest first by number, and resolves references', async () => {
  for (const version of ['9', '10', '2']) await models.add(version);
  const registry = await open();
  expect(registry.list().map(({ ref }) => ref)).toEqual([`${id}@10`, `${id}@9`, `${id}@2`]);
  expect(registry.get().ref).toBe(`${id}@10`);
  expect(registry.get(id).ref).toBe(`${id}@10`);
  expect(registry.get(`${id}@2`).ref).toBe(`${id}@2`);
  expect(() => registry.get('nobody')).toThrow(UnknownModelError);
  expect(() => registry.get(`${id}@3`)).toThrow(`available: ${id}@10, ${id}@9, ${id}@2`);
  expect((await open(`${id}@9`)).get().ref).toBe(`${id}@9`);
  await expect(open('nobody')).rejects.toThrow('DEFAULT_MODEL: nobody');
});

test('the first id is the default: in alphabetical order, with numbers by their value', async () => {
  for (const size of ['128', '64']) {
    await models.add('1', (card) => {
      card.id = `${id}-${size}`;
    });
    await rename(path.join(modelDir, id), path.join(modelDir, `${id}-${size}`));
  }
  const registry = await open();
  expect(registry.list().map(({ ref }) => ref)).toEqual([`${id}-64@1`, `${id}-128@1`]);
  expect(registry.get().ref).toBe(`${id}-64@1`);
});

test('other names of models', async () => {
  for (const version of ['1', '2']) await models.add(version);
  const aliases = { 'gpt-image-1': `${id}@1`, [id]: `${id}@1`, gone: 'nobody' };
  const registry = await FolderRegistry.open({ modelDir, ...served, log, aliases });
  expect(registry.get('gpt-image-1').ref).toBe(`${id}@1`);
  expect(registry.get(id).ref).toBe(`${id}@2`); // a model's own name goes first
  for (const name of ['dall-e-2', 'constructor', ''])
    expect(() => registry.get(name)).toThrow(`there is no model ${name}; available`);
  // A name that stands for nothing is found out when the service starts, and its error says what is missing.
  const available = `available: ${id}@2, ${id}@1`;
  expect(warnings).toEqual([`MODEL_ALIASES: gone=nobody: there is no model nobody; ${available}`]);
  expect(() => registry.get('gone')).toThrow(`there is no model nobody, which gone stands for; ${available}`);
  const any = await FolderRegistry.open({ modelDir, ...served, log, aliases: { '*': id } });
  expect(any.get('dall-e-2').ref).toBe(`${id}@2`);
  // A job must not be given to another version than the one that it was accepted for.
  expect(() => any.get(`${id}@3`)).toThrow(UnknownModelError);
});

test('is ready once the default model is loaded', async () => {
  await models.add('1');
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

test('a version with a damaged file is refused, and the version before it serves', async () => {
  await models.add('1');
  await models.add('2');
  await models.damage('2');
  const registry = await open();
  await expect(registry.get(`${id}@2`).open()).rejects.toThrow('SHA-256 differs');
  expect(registry.get(`${id}@2`)).toMatchObject({
    state: 'failed',
    reason: expect.stringContaining('unet.onnx'),
  });
  expect(registry.notReadyReason).toContain('failed to load');
  await registry.start();
  expect(registry.ready).toBe(true);
  expect(registry.get().ref).toBe(`${id}@1`);
  expect(registry.get(id).ref).toBe(`${id}@1`);
  await registry.close();

  const pinned = await open(`${id}@2`);
  await expect(pinned.start()).rejects.toThrow(/@2 cannot be loaded: .*unet.onnx.*copy it again/);
  await pinned.close();
});

test('an invalid folder is left out, counted and logged, with the field', async () => {
  await models.add('1');
  await models.add('2', (card) => {
    card.prediction = 'noise';
  });
  await models.add('3', (card) => {
    card.version = '4';
  });
  await mkdir(models.folder('5'), { recursive: true });
  await writeFile(path.join(models.folder('5'), 'model.json'), '{"id":');
  const reloads: string[] = [];
  const hooks = { onReload: (ref: string, result: string) => reloads.push(`${ref} ${result}`) };
  const registry = await FolderRegistry.open({ modelDir, ...served, log, hooks });
  expect(registry.list().map(({ ref }) => ref)).toEqual([`${id}@1`]);
  expect(reloads.sort()).toEqual(['2', '3', '5'].map((version) => `${id}@${version} refused`));
  expect(errors).toHaveLength(3);
  expect(errors.join()).toMatch(/2.model\.json is not a valid model card .*prediction/s);
  expect(errors.join()).toMatch(/describes .*\/4, but its folder is .*\/3/);
  expect(errors.join()).toMatch(/5.model\.json is not valid JSON/);
});

test('a MODEL_DIR without models is an error that names the setting', async () => {
  await expect(open()).rejects.toThrow(/no model in .*MODEL_DIR/);
  await expect(FolderRegistry.open({ modelDir: '/nowhere', ...served })).rejects.toThrow(
    /MODEL_DIR \/nowhere/,
  );
});
