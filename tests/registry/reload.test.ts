import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ModelFolderError, verifyDigests } from '../../src/model/folder.ts';
import { type ModelVersion, RETRY_FAILED_MS } from '../../src/registry/model-version.ts';
import { FolderRegistry } from '../../src/registry/registry.ts';
import { ModelDir } from '../helpers/model-dir.ts';

/** How many times a retired version has waited before it checked again whether it has finished its requests. */
let waits = 0;
vi.mock('node:timers/promises', () => ({
  setTimeout: async () => {
    waits++;
    await new Promise((resolve) => setTimeout(resolve, 5));
  },
}));
vi.mock('../../src/model/folder.ts', { spy: true });

let models: ModelDir;
let registry: FolderRegistry;
let id: string;
let logged: string[];
let reloads: string[];

beforeEach(async () => {
  models = await ModelDir.create();
  id = models.id;
  logged = [];
  reloads = [];
  await models.add('1');
});
afterEach(async () => {
  await registry.close();
  await models.remove();
});

async function open(more: { defaultModel?: string; idleMs?: number } = {}) {
  const log = {
    info() {},
    warn: (line: string) => logged.push(line),
    error: (line: string) => logged.push(line),
  };
  registry = await FolderRegistry.open({
    modelDir: models.root,
    engine: { engine: 'onnx', device: 'cpu' },
    queue: { limit: 4 },
    hooks: { onReload: (ref, result) => reloads.push(`${ref} ${result}`) },
    log,
    ...more,
  });
}

/** Loaded, on real workers. */
async function start(...more: Parameters<typeof open>) {
  await open(...more);
  await registry.start();
}

/** Starts, and reloads once the default version has been loaded and before it serves. */
async function startWithReload(change: () => Promise<unknown>) {
  await open();
  const [before] = registry.list();
  const load = before.open.bind(before);
  vi.spyOn(before, 'open').mockImplementationOnce(async () => {
    const opened = await load();
    await change();
    await registry.reload();
    return opened;
  });
  await registry.start();
  return before;
}

/** Copies other files of a version. */
const retrained = (version: string) =>
  models.add(version, (card) => {
    card.description = 'trained for longer';
  });

/** The version that the next scan finds fails to load. */
function failToLoad() {
  const [scanned, loaded] = [undefined, new Error('no memory left on the GPU')];
  vi.mocked(verifyDigests).mockResolvedValueOnce(scanned).mockRejectedValueOnce(loaded);
}

/** Sets the clock to when a version that has failed is tried again. */
function whenTriedAgain() {
  const now = performance.now();
  return vi.spyOn(performance, 'now').mockImplementation(() => now + RETRY_FAILED_MS + 1);
}

/** The processes of a version's workers, of which there is at least one. */
function pidsOf({ workers }: ModelVersion): readonly number[] {
  const pids = workers?.pids ?? [];
  expect(pids).not.toEqual([]);
  return pids;
}

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('a version that a reload puts in service during the start stays in service', async () => {
  await startWithReload(() => models.add('2'));
  expect(registry.get().ref).toBe(`${id}@2`);
  expect(registry.ready).toBe(true);
});

test('so does one of the same number whose files have changed, and the one it replaced is not opened again', async () => {
  const before = await startWithReload(() => retrained('1'));
  const now = registry.get();
  expect(now.card.description).toBe('trained for longer');
  expect(now).not.toBe(before);
  await vi.waitFor(() => expect(before.workers?.alive ?? 0).toBe(0));
  await expect(before.open()).rejects.toThrow(`${id}@1 is no longer served`);
  expect(registry.ready).toBe(true);
});

test('a new version takes over once it is loaded; the old one finishes its requests, and ends when it is removed', async () => {
  await start();
  const old = registry.get();
  const pids = pidsOf(old);
  const reservation = old.admission.reserve(1); // a request in progress
  await models.add('2');
  const reloading = registry.reload();
  await expect.poll(() => registry.list().map(({ state }) => state)).toEqual(['loading', 'ready']);
  for (const reference of [undefined, id]) expect(registry.get(reference)).toBe(old);
  expect(registry.ready).toBe(true);
  await reloading;
  for (const reference of [undefined, id]) expect(registry.get(reference).ref).toBe(`${id}@2`);
  expect(registry.get().state).toBe('ready');
  expect(registry.get(`${id}@1`)).toBe(old); // still available by name

  await models.withdraw('1');
  await registry.reload();
  expect(() => registry.get(`${id}@1`)).toThrow(`available: ${id}@2`);
  const before = waits;
  await expect.poll(() => waits).toBeGreaterThan(before + 2); // it has checked again whether it has drained
  expect(pids.map(isAlive)).toEqual(pids.map(() => true));
  reservation?.release();
  await expect.poll(() => pids.some(isAlive)).toBe(false);
  expect(reloads).toEqual([`${id}@2 loaded`, `${id}@1 removed`]);
  expect(logged).toEqual([]);
});

test('a folder that is being copied is refused, logged once, until it is complete; the old version keeps serving', async () => {
  await start();
  await models.add('2');
  const onnx = path.join(models.folder('2'), 'unet.onnx');
  const bytes = await readFile(onnx);
  await truncate(onnx, 1000);
  for (let i = 0; i < 3; i++) await registry.reload();
  expect(registry.list().map(({ ref }) => ref)).toEqual([`${id}@1`]);
  expect(logged).toEqual([
    expect.stringMatching(/2.unet\.onnx does not have the size .*\(\d+ bytes\); wait until it is copied/),
  ]);

  await models.damage('2'); // damaged, of the right size
  await writeFile(onnx, bytes);
  await models.damage('2');
  for (let i = 0; i < 2; i++) await registry.reload();
  expect(logged[1]).toMatch(/2.unet\.onnx does not match model\.json.*copy it again/);
  expect(registry.get().ref).toBe(`${id}@1`);

  await writeFile(onnx, bytes);
  await registry.reload();
  expect(registry.get().ref).toBe(`${id}@2`);
  expect(reloads).toEqual([...Array(2).fill(`${id}@2 refused`), `${id}@2 loaded`]);
  expect(logged).toHaveLength(2);
});

test('a version whose files have changed is replaced once the new files are loaded', async () => {
  await start();
  const old = registry.get();
  const pids = pidsOf(old);
  await models.add('1', (card) => {
    card.description = 'trained for longer';
  });
  let load = () => {};
  const held = new Promise<void>((resolve) => {
    load = resolve;
  });
  const scanned = undefined;
  vi.mocked(verifyDigests).mockClear().mockResolvedValueOnce(scanned).mockReturnValueOnce(held);
  const reloading = registry.reload();
  await expect.poll(() => vi.mocked(verifyDigests).mock.calls.length).toBe(2);
  const [serving, ready] = [registry.get(), registry.ready]; // while it loads
  load();
  await reloading;
  expect(serving).toBe(old);
  expect(ready).toBe(true);
  expect(registry.get()).toMatchObject({ ref: `${id}@1`, state: 'ready' });
  expect(registry.get().card.description).toBe('trained for longer');
  await expect.poll(() => pids.some(isAlive)).toBe(false);

  // The digest is right, so only a worker can find out that this file is not a network.
  const changed = registry.get();
  const noNetwork = Buffer.from('no network');
  const sha256 = createHash('sha256').update(noNetwork).digest('hex');
  await writeFile(path.join(models.folder('1'), 'unet.onnx'), noNetwork);
  await models.edit('1', (card) => {
    Object.assign(card.files as object, { 'unet.onnx': { sha256, bytes: noNetwork.length } });
  });
  for (let i = 0; i < 2; i++) await registry.reload();
  expect(registry.get()).toBe(changed);
  expect(registry.ready).toBe(true);
  expect(reloads).toEqual([`${id}@1 loaded`, `${id}@1 refused`]);
});

test('a version whose refiner alone has changed is replaced, and a changed file does not replace a worker', async () => {
  await models.add('1', undefined, { refiner: true });
  await start();
  const old = registry.get();
  expect(old.engine?.networks).toEqual(['base', 'refiner']);
  await models.add('1'); // without a refiner
  await registry.reload();
  const serving = registry.get();
  expect(serving).not.toBe(old);
  expect(serving.digest).not.toBe(old.digest);
  expect(serving.engine?.networks).toEqual(['base']);

  await models.add('1', undefined, { refiner: true });
  await registry.reload();
  expect(registry.get().digest).toBe(old.digest);
  await models.damage('1', 'refiner.onnx');
  vi.mocked(verifyDigests).mockClear();
  const [pid] = pidsOf(registry.get());
  process.kill(pid, 'SIGKILL');
  const attempts = (result: string) =>
    vi.mocked(verifyDigests).mock.settledResults.filter(({ type }) => type === result).length;
  await expect.poll(() => attempts('rejected')).toBeGreaterThan(1);
  expect(attempts('fulfilled')).toBe(0);
});

test('a removed default version keeps serving, but its workers are not replaced', async () => {
  await start({ defaultModel: `${id}@1` });
  await models.add('2');
  await models.withdraw('1');
  for (let i = 0; i < 2; i++) await registry.reload();
  expect(registry.get()).toMatchObject({ ref: `${id}@1`, state: 'ready' });
  expect(registry.get(`${id}@2`).state).toBe('available'); // not requested yet
  expect(logged).toEqual([
    expect.stringMatching(/^DEFAULT_MODEL: .*@1 is not in .*; available: .*@2; still serving .*@1$/),
  ]);

  await models.add('1');
  await models.damage('1'); // another network, which a worker could load
  vi.mocked(verifyDigests).mockClear();
  const [pid] = pidsOf(registry.get());
  process.kill(pid, 'SIGKILL');
  // It is to be replaced again and again, and the files are not those of the version that serves.
  const attempts = (result: string) =>
    vi.mocked(verifyDigests).mock.settledResults.filter(({ type }) => type === result).length;
  await expect.poll(() => attempts('rejected')).toBeGreaterThan(1);
  expect(attempts('fulfilled')).toBe(0);
  expect(registry.get().workers?.alive).toBeLessThan(registry.get().workers?.total ?? 0);
  await models.add('1');
  await registry.reload();
  await expect.poll(() => registry.get().workers?.alive).toBe(registry.get().workers?.total);
});

test('an idle version that is not the default is unloaded, and loads again on its next request', async () => {
  await models.add('2');
  await start({ defaultModel: `${id}@1`, idleMs: 300 });
  const other = registry.get(`${id}@2`);
  expect(other.networks).toBeUndefined();
  await other.open();
  const pids = pidsOf(other);
  await expect.poll(() => other.state).toBe('available');
  // Plans and estimates that are made now fit the engine that it had.
  expect(other.networks).toEqual(['base']);
  expect(other.lastEngine?.workers).toBe(pids.length);
  await expect.poll(() => pids.some(isAlive)).toBe(false);
  expect(registry.get().state).toBe('ready');
  await other.open();
  expect(other.state).toBe('ready');
});

test('a version that works is not unloaded, and its idle time begins when the work ends', async () => {
  await models.add('2');
  await start({ defaultModel: `${id}@1`, idleMs: 100 });
  const other = registry.get(`${id}@2`);
  await other.open();
  const idle = vi.spyOn(other.admission, 'idle', 'get').mockReturnValue(false);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(other.state).toBe('ready');
  expect(performance.now() - other.lastUsedMs).toBeLessThan(250);
  idle.mockRestore();
  await expect.poll(() => other.state).toBe('available');
});

test('versions below a folder that cannot be read stay, logged once, and so does the default model', async () => {
  await models.add('2');
  await start();
  const [folder, away] = [path.join(models.root, id), path.join(models.root, '.away')];
  await rename(folder, away);
  await symlink(folder, folder); // ELOOP, for root too
  for (let i = 0; i < 2; i++) await registry.reload();
  expect(registry.list().map(({ ref }) => ref)).toEqual([`${id}@2`, `${id}@1`]);
  const ELOOP = expect.stringMatching(/\/\d cannot be read: ELOOP.*; its version stays as it is$/);
  expect(logged).toEqual([ELOOP, ELOOP]);
  await rm(folder);
  await registry.reload();
  expect(reloads).toContain(`${id}@1 removed`); // it is gone now
  await rename(away, folder);
  await registry.reload();
  expect(registry.list()).toHaveLength(2);
});

test('a file that cannot be read now is read again, though nothing has changed', async () => {
  await open();
  const passing = Object.assign(new ModelFolderError('too many open files'), { passing: true });
  vi.mocked(verifyDigests).mockRejectedValueOnce(passing);
  await models.add('2');
  await registry.reload();
  expect(registry.list()).toHaveLength(1);
  expect(logged).toEqual(['too many open files']);
  await registry.reload();
  expect(registry.list()).toHaveLength(2);
});

test('a default version that failed to load is tried again after some minutes', async () => {
  await models.add('2');
  vi.mocked(verifyDigests).mockRejectedValueOnce(new Error('no memory left on the GPU'));
  await start();
  expect(registry.get().ref).toBe(`${id}@1`);
  await registry.reload();
  expect(registry.get().ref).toBe(`${id}@1`);
  const later = whenTriedAgain();
  await registry.reload();
  later.mockRestore();
  expect(registry.get()).toMatchObject({ ref: `${id}@2`, state: 'ready' });
});

test('a version that fails to load is tried again when the same files are copied again', async () => {
  await start();
  await retrained('1');
  failToLoad();
  for (let i = 0; i < 2; i++) await registry.reload();
  expect(reloads).toEqual([`${id}@1 refused`]);
  await retrained('1');
  await registry.reload();
  expect(reloads).toEqual([`${id}@1 refused`, `${id}@1 loaded`]);
  expect(registry.get().card.description).toBe('trained for longer');
});

test('a version of another model that failed to load is tried again in the background', async () => {
  const other = 'another-model';
  const folder = (version: string) => path.join(models.root, other, version);
  await mkdir(folder(''));
  for (const version of ['2', '3']) {
    await models.add(version, (card) => {
      card.id = other;
    });
    await rename(models.folder(version), folder(version));
  }
  await start({ defaultModel: `${id}@1` });
  await registry.get(`${other}@2`).open();
  vi.mocked(verifyDigests).mockRejectedValueOnce(new Error('no memory left on the GPU'));
  await expect(registry.get(`${other}@3`).open()).rejects.toThrow('no memory left');
  const later = whenTriedAgain();
  expect(registry.get(other).ref).toBe(`${other}@2`); // no request waits for the attempt
  await registry.reload();
  later.mockRestore();
  expect(registry.get(other)).toMatchObject({ ref: `${other}@3`, state: 'ready' });
});

test('it is tried again when a scan has seen a part of the copy, too', async () => {
  await start();
  await retrained('1');
  failToLoad();
  await registry.reload();
  await models.damage('1');
  await registry.reload();
  await retrained('1');
  await registry.reload();
  expect(reloads).toEqual([`${id}@1 refused`, `${id}@1 refused`, `${id}@1 loaded`]);
});

test('a version whose new files fail to load is removed with its folder', async () => {
  await models.add('2');
  await start({ defaultModel: `${id}@1` });
  await registry.get(`${id}@2`).open();
  await retrained('2');
  failToLoad();
  await registry.reload();
  expect(registry.get(`${id}@2`).state).toBe('ready'); // with the files before
  await models.withdraw('2');
  await registry.reload();
  expect(registry.list().map(({ ref }) => ref)).toEqual([`${id}@1`]);
});

test('an unreadable MODEL_DIR is logged once, and nothing changes', async () => {
  await open();
  await rm(models.root, { recursive: true });
  for (let i = 0; i < 2; i++) await registry.reload();
  expect(logged).toEqual([expect.stringMatching(/^MODEL_DIR .* cannot be read.*; still serving .*@1$/)]);
  expect(registry.get().ref).toBe(`${id}@1`);
  await models.add('1'); // for afterEach
});
