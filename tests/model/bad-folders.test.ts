import { createHash } from 'node:crypto';
import { chmod, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { FolderRegistry } from '../../src/registry/registry.ts';
import { ModelDir } from '../helpers/model-dir.ts';

/** An Identity from `image` [N, 4, 64, 64] to `noise`: a network that ONNX has nothing against. */
const IDENTITY = Buffer.from(
  'CAgSADphChgKBWltYWdlEgVub2lzZSIISWRlbnRpdHkSAWdaIAoFaW1hZ2USFwoVCAESEQoDEgFOCgIIBAoCCEAKAghAYiAKBW5vaXNlEhcKFQgBEhEKAxIBTgoCCAQKAghACgIIQEIECgAQFA==',
  'base64',
);
const AGAIN = 'copy the version again, or export it again';

let models: ModelDir;
let registry: FolderRegistry;
const said: string[] = [];
const reloads: string[] = [];

beforeAll(async () => {
  models = await ModelDir.create();
  await models.add('1');
  await chmod(models.root, 0o755); // a temporary folder is its owner's alone
  registry = await FolderRegistry.open({
    modelDir: models.root,
    engine: { engine: 'onnx', device: 'cpu', queueLimit: 4 },
    hooks: { onReload: (ref, result) => reloads.push(`${ref} ${result}`) },
    log: { info() {}, warn: (line: string) => said.push(line), error: (line: string) => said.push(line) },
  });
  await registry.start();
});
afterAll(async () => {
  await registry.close();
  await models.remove();
});
beforeEach(() => models.add('2'));
afterEach(async () => {
  await models.withdraw('2');
  await registry.reload();
  said.length = 0;
  reloads.length = 0;
});

/** As a user who owns nothing: to root, every file is open. */
async function asNobody(task: () => Promise<void>) {
  if (process.geteuid?.() !== 0) return task();
  process.seteuid?.('nobody');
  try {
    await task();
  } finally {
    process.seteuid?.(0);
  }
}

const file = (name: string) => path.join(models.folder('2'), name);

/** Another network, with a model.json that describes it. */
async function replaceNetwork(bytes: Buffer) {
  await writeFile(file('unet.onnx'), bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await models.edit('2', (card) => {
    Object.assign(card.files as object, { 'unet.onnx': { sha256, bytes: bytes.length } });
  });
}

const editCard = (more: object) => () =>
  models.edit('2', (card) => {
    for (const [key, value] of Object.entries(more)) {
      card[key] = typeof value === 'object' ? { ...(card[key] as object), ...value } : value;
    }
  });

const CARD = 'model.json is not a model card: export the model with the training/export.py of this release';

test.each<[name: string, damage: () => Promise<void>, ...sentence: string[]]>([
  ['a file is missing', () => rm(file('unet.onnx')), `unet.onnx cannot be read: it is not there; ${AGAIN}`],
  [
    'the other file is missing',
    () => rm(file('weights.safetensors')),
    'weights.safetensors cannot be read: it is not there',
  ],
  [
    'a file is cut short',
    () => truncate(file('unet.onnx'), 9),
    'unet.onnx is not of the',
    'wait for its copy to end',
  ],
  ['a file has another digest', () => models.damage('2'), '(sha256 differs): copy it again'],
  [
    'model.json is no JSON',
    () => writeFile(file('model.json'), '{"id":'),
    `model.json cannot be read: it is no JSON (`,
    AGAIN,
  ],
  [
    'model.json is empty',
    () => writeFile(file('model.json'), ''),
    `model.json cannot be read: it is no JSON (`,
    AGAIN,
  ],
  ['model.json is something else', () => writeFile(file('model.json'), '[]'), CARD, 'expected object'],
  [
    'it is of another release',
    editCard({ prediction: 'score', data: { pictures: 'many' } }),
    CARD,
    'prediction',
    'data.pictures',
  ],
  [
    'fields contradict each other',
    editCard({ conditioning: 'none', defaults: { steps: 1001 } }),
    CARD,
    'must be 3 where conditioning is none',
    "must be 1000 at most, the schedule's T",
  ],
  [
    'statistics are not complete',
    editCard({ data: { statistics: { luma: { mean: 0, std: 1 } } } }),
    CARD,
    'data.statistics.red_green',
  ],
  ['it lies in the wrong place', editCard({ version: '3' }), '/3, but lies in', '/2: rename one'],
  [
    'the network is not named',
    editCard({ files: { 'unet.onnx': undefined } }),
    'model.json names no unet.onnx',
    AGAIN,
  ],
  [
    'the network is none',
    () => replaceNetwork(Buffer.from('no network')),
    'unet.onnx cannot be loaded (',
    'Protobuf',
    'export the model again',
  ],
  [
    'the network is another',
    () => replaceNetwork(IDENTITY),
    'unet.onnx has image [N,4,64,64], noise [N,4,64,64], but model.json requires x [N,4,64,64], t [N], prediction [N,3,64,64]: export the model again',
  ],
  [
    'the network is of another size',
    editCard({ resolution: 32 }),
    'unet.onnx has x [N,4,64,64]',
    'model.json requires x [N,4,32,32]',
  ],
])('%s: that is said with what to do, once, and the version before serves', async (_name, damage, ...sentence) => {
  await damage();
  for (let look = 0; look < 2; look++) await registry.reload();
  expect(said).toHaveLength(1);
  for (const part of sentence) expect(said[0]).toContain(part);
  expect(reloads.filter((reload) => reload === `${models.id}@2 refused`)).toHaveLength(1);
  expect(registry.get()).toMatchObject({ ref: `${models.id}@1`, state: 'ready' });
});

test('what may not be read is said, and taken up when it may', async () => {
  const look = () => asNobody(() => registry.reload());
  await chmod(models.folder('2'), 0);
  for (let i = 0; i < 2; i++) await look();
  await chmod(models.folder('2'), 0o755);
  await chmod(file('unet.onnx'), 0);
  for (let i = 0; i < 2; i++) await look();
  const remedy = `the service's user may not; chmod -R a+rX ${models.folder('2')}`;
  expect(said).toEqual(['model.json', 'unet.onnx'].map((name) => `${file(name)} cannot be read: ${remedy}`));
  expect(registry.get().ref).toBe(`${models.id}@1`);
  await chmod(file('unet.onnx'), 0o644);
  await registry.reload();
  expect(registry.get().ref).toBe(`${models.id}@2`);
});
