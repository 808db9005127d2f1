import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DefaultModel } from '../../src/registry/default-model.ts';
import { promote, rollBack, servingFileIn } from '../../src/registry/promotions.ts';
import { FolderRegistry } from '../../src/registry/registry.ts';
import { ModelDir } from '../helpers/model-dir.ts';

let models: ModelDir;
let id: string;
let target: { modelDir: string; file: string };
beforeEach(async () => {
  models = await ModelDir.create();
  id = models.id;
  target = { modelDir: models.root, file: servingFileIn(models.root) };
  for (const version of ['1', '2']) await models.add(version);
});
afterEach(() => models.remove());

const open = (more: { defaultModel?: string; servingFile?: string; warn?: (line: string) => void } = {}) =>
  FolderRegistry.open({
    modelDir: models.root,
    engine: { engine: 'onnx', device: 'cpu' },
    queue: { limit: 4 },
    log: { info() {}, error() {}, warn: more.warn ?? (() => {}) },
    ...more,
  });
const served = async () => (await open()).get().ref;

test('promotions take effect and can be undone one by one', async () => {
  expect(await served()).toBe(`${id}@2`); // without a promotion: the newest
  await promote(target, `${id}@1`);
  expect(await served()).toBe(`${id}@1`);
  await models.add('3');
  expect(await served()).toBe(`${id}@1`); // a new version serves only when it is promoted
  await promote(target, `${id}@1:90,@2:10`);
  await promote(target, `${id}@3`);
  expect(await served()).toBe(`${id}@3`);
  expect((await open()).get(id).ref).toBe(`${id}@3`);
  expect(await rollBack(target)).toBe(`${id}@1:90,@2:10`);
  expect(await rollBack(target)).toBe(`${id}@1`);
  expect((await open()).get(id).ref).toBe(`${id}@1`); // requests for the id alone follow too
  await expect(rollBack(target)).rejects.toThrow('contains no earlier promotion');
  expect(await readdir(models.root)).toEqual([id, 'serving.json']);
});

test('a missing or damaged version is neither promoted nor rolled back to', async () => {
  await promote(target, `${id}@1`);
  const before = await readFile(target.file, 'utf8');
  await models.damage('2');
  await expect(promote(target, `${id}@2`)).rejects.toThrow(/unet\.onnx does not match.*copy it again/);
  await expect(promote(target, `${id}@1:90,@7:10`)).rejects.toThrow(/7.model\.json cannot be read/);
  await expect(promote(target, id)).rejects.toThrow(`the version is missing; write ${id}@<version>`);
  await expect(promote(target, `${id}@one`)).rejects.toThrow('must be like');
  expect(await readFile(target.file, 'utf8')).toBe(before);
  await models.add('2');
  await promote(target, `${id}@2`);
  await models.withdraw('1');
  await expect(rollBack(target)).rejects.toThrow(/1.model\.json cannot be read/);
});

test('a promotion replaces a file that is invalid, as its message says', async () => {
  await writeFile(target.file, `{"default": "${id}@2",}`);
  await promote(target, `${id}@1`);
  expect(await served()).toBe(`${id}@1`);
});

test('a default that was written by hand can be rolled back to, and from', async () => {
  await writeFile(target.file, JSON.stringify({ default: `${id}@1` }));
  await promote(target, `${id}@2`);
  expect(await rollBack(target)).toBe(`${id}@1`);
  const { history } = JSON.parse(await readFile(target.file, 'utf8'));
  await writeFile(target.file, JSON.stringify({ default: `${id}@2`, history }));
  expect(await rollBack(target)).toBe(`${id}@1`);
  expect(await served()).toBe(`${id}@1`);
});

test('a promotion that is repeated is undone by one rollback', async () => {
  await promote(target, `${id}@1`);
  await promote(target, `${id}@2`);
  await promote(target, `${id}@2`);
  expect(await rollBack(target)).toBe(`${id}@1`);
});

test('a rollback returns to an id alone that was written by hand', async () => {
  await writeFile(target.file, JSON.stringify({ default: id }));
  await promote(target, `${id}@1`);
  expect(await rollBack(target)).toBe(id);
  expect(await served()).toBe(`${id}@2`);
  await promote(target, `${id}@1`);
  await models.withdraw('1');
  await models.withdraw('2');
  await expect(rollBack(target)).rejects.toThrow(`${id} has no version in `);
});

test('DEFAULT_MODEL takes precedence over the file, with a warning', async () => {
  await promote(target, `${id}@1`);
  const warnings: string[] = [];
  const registry = await open({ defaultModel: `${id}@2`, warn: (line) => warnings.push(line) });
  expect(registry.get().ref).toBe(`${id}@2`);
  expect(warnings).toEqual([
    expect.stringMatching(/^DEFAULT_MODEL is set \(.*@2\); .* \(.*@1\) is ignored$/),
  ]);
});

test('with DEFAULT_MODEL, an invalid file is one warning', async () => {
  await writeFile(target.file, '{');
  const warnings: string[] = [];
  const options = { defaultModel: `${id}@1`, warn: (line: string) => warnings.push(line) };
  const versions = (await open(options)).list();
  const wanted = new DefaultModel({ modelDir: models.root, log: options, ...options });
  for (let i = 0; i < 2; i++) expect((await wanted.resolve(versions, id))[0].model.ref).toBe(`${id}@1`);
  const warning = expect.stringMatching(/^DEFAULT_MODEL is set \(.*@1\); .*serving\.json is invalid: /);
  expect(warnings).toEqual([warning, warning]); // of open() and of `wanted`
});

test.each([
  ['{', /serving\.json is invalid: .*JSON.*; set it with npm run promote/],
  ['{"default": 2}', /is invalid: .*default/s],
  ['{"default": "faces@"}', /is invalid: default must be like/],
  ['{"default": "nobody@1"}', /serving\.json: nobody@1 is not in .*; available: /],
])('a serving.json of %s prevents the start, with a message', async (text, sentence) => {
  await writeFile(target.file, text);
  await expect(open()).rejects.toThrow(sentence);
});

test('while serving, an invalid serving.json changes nothing', async () => {
  await promote(target, `${id}@1`);
  const registry = await open();
  await writeFile(target.file, '{');
  await registry.reload();
  expect(registry.get().ref).toBe(`${id}@1`);
});

test('the file may be outside MODEL_DIR, such as in a ConfigMap', async () => {
  const servingFile = path.join(models.root, 'elsewhere.json');
  await writeFile(servingFile, JSON.stringify({ default: `${id}@1` }));
  expect((await open({ servingFile })).get().ref).toBe(`${id}@1`);
});
