import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { promote, rollBack, servingFileIn } from '../../src/registry/promotions.ts';
import { FolderRegistry } from '../../src/registry/registry.ts';
import { ModelDir } from '../helpers/model-dir.ts';

let models: ModelDir;
let id: string;
let place: { modelDir: string; file: string };
beforeEach(async () => {
  models = await ModelDir.create();
  id = models.id;
  place = { modelDir: models.root, file: servingFileIn(models.root) };
  for (const version of ['1', '2']) await models.add(version);
});
afterEach(() => models.remove());

const open = (more: { defaultModel?: string; servingFile?: string; warn?: (line: string) => void } = {}) =>
  FolderRegistry.open({
    modelDir: models.root,
    engine: { engine: 'onnx', device: 'cpu', queueLimit: 4 },
    log: { info() {}, error() {}, warn: more.warn ?? (() => {}) },
    ...more,
  });
const served = async () => (await open()).get().ref;

test('promotions are followed and can be taken back, one by one', async () => {
  expect(await served()).toBe(`${id}@2`); // the newest, as long as nobody says otherwise
  await promote(place, `${id}@1`);
  expect(await served()).toBe(`${id}@1`);
  await models.add('3');
  expect(await served()).toBe(`${id}@1`); // a new version serves when it is promoted
  await promote(place, `${id}@1:90,@2:10`);
  await promote(place, `${id}@3`);
  expect(await served()).toBe(`${id}@3`);
  expect((await open()).get(id).ref).toBe(`${id}@3`);
  expect(await rollBack(place)).toBe(`${id}@1:90,@2:10`);
  expect(await rollBack(place)).toBe(`${id}@1`);
  expect((await open()).get(id).ref).toBe(`${id}@1`); // who names the id alone goes back too
  await expect(rollBack(place)).rejects.toThrow('knows of nothing that served before');
  expect(await readdir(models.root)).toEqual([id, 'serving.json']);
});

test('what is not there or not intact is not promoted, nor gone back to', async () => {
  await promote(place, `${id}@1`);
  const before = await readFile(place.file, 'utf8');
  await models.damage('2');
  await expect(promote(place, `${id}@2`)).rejects.toThrow(/unet\.onnx is not the file.*copy it again/);
  await expect(promote(place, `${id}@1:90,@7:10`)).rejects.toThrow(/7.model\.json cannot be read/);
  await expect(promote(place, id)).rejects.toThrow(`name the version too: ${id}@<version>`);
  await expect(promote(place, `${id}@one`)).rejects.toThrow('must be like');
  expect(await readFile(place.file, 'utf8')).toBe(before);
  await models.add('2');
  await promote(place, `${id}@2`);
  await models.withdraw('1');
  await expect(rollBack(place)).rejects.toThrow(/1.model\.json cannot be read/);
});

test('DEFAULT_MODEL goes before the file, and that is said', async () => {
  await promote(place, `${id}@1`);
  const warnings: string[] = [];
  const registry = await open({ defaultModel: `${id}@2`, warn: (line) => warnings.push(line) });
  expect(registry.get().ref).toBe(`${id}@2`);
  expect(warnings).toEqual([
    expect.stringMatching(/^DEFAULT_MODEL is set \(.*@2\), so .* \(.*@1\) is not followed$/),
  ]);
});

test.each([
  ['{', /serving\.json does not say what to serve: .*JSON.*; write it with npm run promote/],
  ['{"default": 2}', /does not say what to serve: .*default/s],
  ['{"default": "faces@"}', /does not say what to serve: must be like/],
  ['{"default": "nobody@1"}', /serving\.json nobody@1 is not in .*: there are/],
])('a serving.json of %s stops the start with a sentence', async (text, sentence) => {
  await writeFile(place.file, text);
  await expect(open()).rejects.toThrow(sentence);
});

test('while serving, a bad serving.json changes nothing', async () => {
  await promote(place, `${id}@1`);
  const registry = await open();
  await writeFile(place.file, '{');
  await registry.reload();
  expect(registry.get().ref).toBe(`${id}@1`);
});

test('the file may lie elsewhere, as a ConfigMap does', async () => {
  const servingFile = path.join(models.root, 'elsewhere.json');
  await writeFile(servingFile, JSON.stringify({ default: `${id}@1` }));
  expect((await open({ servingFile })).get().ref).toBe(`${id}@1`);
});
