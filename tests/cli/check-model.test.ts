import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { IMPORTED_DIR, MODEL_DIR } from '../helpers/model.ts';
import { npmRun } from './run.ts';

/** prediction = x + the mean of x over the batch + t. */
const MIXES_ROWS = Buffer.from(
  'CAg64QEKMAoBeBIBbSIKUmVkdWNlTWVhbioLCgRheGVzQACgAQcqDwoIa2VlcGRpbXMYAaABAgoOCgF4CgFtEgFzIgNBZGQKEgoBdAoBchIBdSIHUmVzaGFwZQoXCgFzCgF1EgpwcmVkaWN0aW9uIgNBZGQSAWcqFggEEAc6Df///////////wEBAQFCAXJaHAoBeBIXChUIARIRCgMSAU4KAggDCgIIEAoCCBBaEAoBdBILCgkIARIFCgMSAU5iJQoKcHJlZGljdGlvbhIXChUIARIRCgMSAU4KAggDCgIIEAoCCBBCBAoAEBE=',
  'base64',
);

let root: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'check-'));
  folder = path.join(root, 'tiny-guided/1');
  await cp(path.join(IMPORTED_DIR, 'tiny-guided/1'), folder, { recursive: true });
});
afterEach(() => rm(root, { recursive: true }));

const check = (...args: string[]) => npmRun('check-model', args);

/** Changes model.json. */
async function edit(change: (card: Record<string, unknown>) => void) {
  const file = path.join(folder, 'model.json');
  const card = JSON.parse(await readFile(file, 'utf8'));
  change(card);
  await writeFile(file, JSON.stringify(card));
}

test('a good folder can be served; a network that is not trained is unusual', () => {
  const { status, stdout } = check(folder);
  expect(stdout).toMatch(/^warning: at t = T - 1 the outputs correlate -?0\.\d\d with the noise/);
  expect(stdout).toMatch(
    /tiny-guided@1 can be served\. An evaluation takes [\d.e-]+ s here.*140 evaluations/,
  );
  expect(status).toBe(0);
});

test('a trained network has nothing unusual, unless its card says that it predicts something else', async () => {
  const real = path.join(MODEL_DIR, 'celeba-inpaint-64/2');
  expect(check(real).stdout).toMatch(/^celeba-inpaint-64@2 can be served/);
  folder = path.join(root, 'celeba-inpaint-64/2');
  await cp(real, folder, { recursive: true });
  await edit((card) => Object.assign(card, { prediction: 'epsilon' }));
  expect(check(folder).stdout).toContain('unusual for a network that predicts epsilon');
});

test('everything that is wrong with a card is named, and its files are listed as they should be', async () => {
  const { files } = JSON.parse(await readFile(path.join(folder, 'model.json'), 'utf8'));
  await edit((card) => {
    Object.assign(card, { prediction: 'score', resolution: 4 });
    delete (card.files as Record<string, unknown>)['unet.onnx.data'];
  });
  const { status, stderr } = check(folder);
  expect(status).toBe(1);
  for (const text of ['prediction', 'resolution', 'unet.onnx.data is not listed in files'])
    expect(stderr).toContain(text);
  expect(stderr).toContain(`"files" should be: ${JSON.stringify(files, null, 2)}`);
});

test('a damaged file is named', async () => {
  const file = path.join(folder, 'unet.onnx.data');
  const bytes = await readFile(file);
  bytes[100] ^= 1;
  await writeFile(file, bytes);
  const { status, stderr } = check(folder);
  expect(status).toBe(1);
  expect(stderr).toContain('unet.onnx.data has another size or digest than files says');
});

test('a network of another shape is described', async () => {
  await edit((card) => Object.assign(card, { out_channels: 3, sampling: {} }));
  const { status, stderr } = check(folder);
  expect(status).toBe(1);
  expect(stderr).toContain(
    'but model.json requires x [N,3,16,16], t [N], prediction [N,3,16,16], all float32',
  );
});

test('a network whose rows depend on each other is refused', async () => {
  await writeFile(path.join(folder, 'unet.onnx'), MIXES_ROWS);
  await rm(path.join(folder, 'unet.onnx.data'));
  const sha256 = createHash('sha256').update(MIXES_ROWS).digest('hex');
  const files = { 'unet.onnx': { sha256, bytes: MIXES_ROWS.length } };
  await edit((card) => Object.assign(card, { out_channels: 3, sampling: {}, files }));
  const { status, stderr } = check(folder);
  expect(status).toBe(1);
  expect(stderr).toBe('a row has other outputs in a batch than alone\n');
});

test('a listed file of another name is compared, and mentioned', async () => {
  const sha256 = createHash('sha256').update('notes').digest('hex');
  await writeFile(path.join(folder, 'notes.txt'), 'notes');
  await edit(({ files }) => Object.assign(files as object, { 'notes.txt': { sha256, bytes: 5 } }));
  const { status, stdout } = check(folder);
  expect(status).toBe(0);
  expect(stdout).toContain('warning: notes.txt is no file that the service looks for');
  await writeFile(path.join(folder, 'notes.txt'), 'noted');
  expect(check(folder).stderr).toContain('notes.txt has another size or digest than files says');
});

test('a model.json that is not JSON gets a sentence', async () => {
  await writeFile(path.join(folder, 'model.json'), '{');
  const { status, stderr } = check(folder);
  expect(status).toBe(1);
  expect(stderr).toContain('model.json is not valid JSON');
  expect(stderr).not.toContain('    at ');
});

test('a folder that is not named as its card says, and one that is not there', async () => {
  await rename(folder, path.join(root, 'tiny-guided/2'));
  expect(check(path.join(root, 'tiny-guided/2')).stderr).toContain('describes tiny-guided/1');
  expect(check(folder)).toMatchObject({ status: 1, stderr: expect.stringContaining('cannot be read') });
  expect(check()).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('Expected one folder, not 0.'),
  });
});
