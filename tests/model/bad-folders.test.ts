import { createHash } from 'node:crypto';
import { chmod, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { FolderRegistry } from '../../src/registry/registry.ts';
import { ModelDir } from '../helpers/model-dir.ts';

/** A valid ONNX network of another shape: the identity from `image` [N, 4, 64, 64] to `noise`. */
const IDENTITY = Buffer.from(
  'CAgSADphChgKBWltYWdlEgVub2lzZSIISWRlbnRpdHkSAWdaIAoFaW1hZ2USFwoVCAESEQoDEgFOCgIIBAoCCEAKAghAYiAKBW5vaXNlEhcKFQgBEhEKAxIBTgoCCAQKAghACgIIQEIECgAQFA==',
  'base64',
);
/** A network with names and shapes as they should be, whose t is int64 and whose prediction is float16. */
const OTHER_TYPES = Buffer.from(
  'CAg6uAEKFgoBeAoBYQoBYgoBaRIBcyIFU2xpY2UKIAoBcxIKcHJlZGljdGlvbiIEQ2FzdCoJCgJ0bxgKoAECEgFnKgoIARAHOgEAQgFhKgoIARAHOgEDQgFiKgoIARAHOgEBQgFpWhwKAXgSFwoVCAESEQoDEgFOCgIIBAoCCEAKAghAWhAKAXQSCwoJCAcSBQoDEgFOYiUKCnByZWRpY3Rpb24SFwoVCAoSEQoDEgFOCgIIAwoCCEAKAghAQgQKABAR',
  'base64',
);
/** An ONNX network whose weight lies in another file, `../secret.bin` or `link.bin`: y = x + w, 4 numbers. */
const EXTERNAL = {
  path: 'CAg6dgoOCgF4CgF3EgF5IgNBZGQSAWcqPwgEEAFCAXdqGQoIbG9jYXRpb24SDS4uL3NlY3JldC5iaW5qCwoGb2Zmc2V0EgEwagwKBmxlbmd0aBICMTZwAVoPCgF4EgoKCAgBEgQKAggEYg8KAXkSCgoICAESBAoCCARCBAoAEBE=',
  link: 'CAg6cQoOCgF4CgF3EgF5IgNBZGQSAWcqOggEEAFCAXdqFAoIbG9jYXRpb24SCGxpbmsuYmluagsKBm9mZnNldBIBMGoMCgZsZW5ndGgSAjE2cAFaDwoBeBIKCggIARIECgIIBGIPCgF5EgoKCAgBEgQKAggEQgQKABAR',
};
const COPY_AGAIN = 'copy or export this version again';

let models: ModelDir;
let registry: FolderRegistry;
const logged: string[] = [];
const reloads: string[] = [];

beforeAll(async () => {
  models = await ModelDir.create();
  await models.add('1');
  await chmod(models.root, 0o755); // mkdtemp creates a folder that only its owner can read
  registry = await FolderRegistry.open({
    modelDir: models.root,
    engine: { engine: 'onnx', device: 'cpu' },
    queue: { limit: 4 },
    hooks: { onReload: (ref, result) => reloads.push(`${ref} ${result}`) },
    log: { info() {}, warn: (line: string) => logged.push(line), error: (line: string) => logged.push(line) },
  });
  await registry.start();
});
afterAll(async () => {
  await registry.close();
  await models.remove();
});
beforeEach(() => models.add('2', undefined, { refiner: true }));
afterEach(async () => {
  await models.withdraw('2');
  await registry.reload();
  logged.length = 0;
  reloads.length = 0;
});

/** Runs as the user nobody, because root can read every file. */
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

/** Replaces a network's file, and its digest in model.json. */
async function replaceNetwork(bytes: Buffer, name = 'unet.onnx') {
  await writeFile(file(name), bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await models.edit('2', (card) => {
    Object.assign(card.files as object, { [name]: { sha256, bytes: bytes.length } });
  });
}

const editCard = (more: object) => () =>
  models.edit('2', (card) => {
    for (const [key, value] of Object.entries(more)) {
      card[key] = typeof value === 'object' ? { ...(card[key] as object), ...value } : value;
    }
  });

const CARD =
  'model.json is not a valid model card (docs/models.md); export or import the model again, or correct it';

test.each<[name: string, damage: () => Promise<void>, ...sentence: string[]]>([
  [
    'a file is missing',
    () => rm(file('unet.onnx')),
    `unet.onnx cannot be read: the file is missing; ${COPY_AGAIN}`,
  ],
  [
    'the other file is missing',
    () => rm(file('weights.safetensors')),
    'weights.safetensors cannot be read: the file is missing',
  ],
  [
    'a file is truncated',
    () => truncate(file('unet.onnx'), 9),
    'unet.onnx does not have the size given in model.json',
    'wait until it is copied',
  ],
  [
    'a file has another digest',
    () => models.damage('2'),
    'unet.onnx does not match model.json (its SHA-256 differs); copy it again',
  ],
  [
    'model.json is not JSON',
    () => writeFile(file('model.json'), '{"id":'),
    'model.json is not valid JSON (',
    COPY_AGAIN,
  ],
  [
    'model.json is empty',
    () => writeFile(file('model.json'), ''),
    'model.json is not valid JSON (',
    COPY_AGAIN,
  ],
  ['model.json is something else', () => writeFile(file('model.json'), '[]'), CARD, 'expected object'],
  [
    'a field has an invalid value',
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
    'statistics are incomplete',
    editCard({ data: { statistics: { luma: { mean: 0, std: 1 } } } }),
    CARD,
    'data.statistics.red_green',
  ],
  ['it is in the wrong folder', editCard({ version: '3' }), '/3, but its folder is', '/2; rename one'],
  [
    'the network is not named',
    editCard({ files: { 'unet.onnx': undefined } }),
    'model.json does not list unet.onnx',
    COPY_AGAIN,
  ],
  [
    'the network is not ONNX',
    () => replaceNetwork(Buffer.from('no network')),
    'unet.onnx cannot be loaded (',
    'Protobuf',
    'export the model again',
  ],
  [
    'the network has other inputs and outputs',
    () => replaceNetwork(IDENTITY),
    'unet.onnx has image [N,4,64,64], noise [N,4,64,64], but model.json requires x [N,4,64,64], t [N], prediction [N,3,64,64], all float32: export the model again',
  ],
  [
    'the network has other types of inputs and outputs',
    () => replaceNetwork(OTHER_TYPES),
    'unet.onnx has x [N,4,64,64], t int64 [N], prediction float16 [N,3,64,64], but model.json requires ',
  ],
  [
    'a listed file is in another folder',
    editCard({ files: { '../1/unet.onnx': { sha256: 'a'.repeat(64), bytes: 1 } } }),
    CARD,
    'files["../1/unet.onnx"]',
  ],
  [
    'a listed file is a link to another folder',
    async () => {
      await rm(file('unet.onnx'));
      await symlink(path.join(models.folder('1'), 'unet.onnx'), file('unet.onnx'));
    },
    'unet.onnx is a link to ',
    'outside of its folder; copy the file into it',
  ],
  [
    'the network keeps weights in another folder',
    async () => {
      await writeFile(file('../secret.bin'), Buffer.alloc(16));
      await replaceNetwork(Buffer.from(EXTERNAL.path, 'base64'));
    },
    'unet.onnx cannot be loaded (',
    'External data path escapes model directory',
    'export the model again',
  ],
  [
    'the network keeps weights behind a link to another folder',
    async () => {
      await writeFile(file('../secret.bin'), Buffer.alloc(16));
      await symlink('../secret.bin', file('link.bin'));
      await replaceNetwork(Buffer.from(EXTERNAL.link, 'base64'));
    },
    'unet.onnx cannot be loaded (',
    'External data path escapes model directory',
  ],
  [
    'the refiner is missing',
    () => rm(file('refiner.onnx')),
    `refiner.onnx cannot be read: the file is missing; ${COPY_AGAIN}`,
  ],
  [
    'the refiner has another digest',
    () => models.damage('2', 'refiner.onnx'),
    'refiner.onnx does not match model.json (its SHA-256 differs); copy it again',
  ],
  [
    'the refiner is not named',
    editCard({ files: { 'refiner.onnx': undefined } }),
    'model.json does not list refiner.onnx',
    COPY_AGAIN,
  ],
  [
    'the int8 network is not named',
    editCard({
      int8: { from_timestep: 240, within_noise: true },
      files: { 'unet.int8.onnx': undefined },
    }),
    'model.json does not list unet.int8.onnx',
    COPY_AGAIN,
  ],
  [
    'the refiner has other inputs and outputs',
    () => replaceNetwork(IDENTITY, 'refiner.onnx'),
    'refiner.onnx has image [N,4,64,64]',
    'model.json requires x [N,8,16,16], t [N], prediction [N,3,16,16], all float32: export the model again',
  ],
  [
    'the refiner has a level that it was not trained with',
    editCard({ refiner: { level: 0.4 } }),
    CARD,
    'must be 0.3 at most, the level_max',
  ],
  [
    'the network has another size',
    editCard({ resolution: 32 }),
    'unet.onnx has x [N,4,64,64]',
    'model.json requires x [N,4,32,32]',
  ],
])('%s: logged once with the remedy, and the version before serves', async (_name, damage, ...sentence) => {
  await damage();
  for (let i = 0; i < 2; i++) await registry.reload();
  expect(logged).toHaveLength(1);
  for (const part of sentence) expect(logged[0]).toContain(part);
  expect(reloads.filter((reload) => reload === `${models.id}@2 refused`)).toHaveLength(1);
  expect(registry.get()).toMatchObject({ ref: `${models.id}@1`, state: 'ready' });
});

test('an unreadable folder is logged, and used once it is readable', async () => {
  const reload = () => asNobody(() => registry.reload());
  await chmod(models.folder('2'), 0);
  for (let i = 0; i < 2; i++) await reload();
  await chmod(models.folder('2'), 0o755);
  await chmod(file('unet.onnx'), 0);
  for (let i = 0; i < 2; i++) await reload();
  const remedy = `permission denied; run chmod -R a+rX ${models.folder('2')}`;
  expect(logged).toEqual(
    ['model.json', 'unet.onnx'].map((name) => `${file(name)} cannot be read: ${remedy}`),
  );
  expect(registry.get().ref).toBe(`${models.id}@1`);
  await chmod(file('unet.onnx'), 0o644);
  await registry.reload();
  expect(registry.get().ref).toBe(`${models.id}@2`);
});
