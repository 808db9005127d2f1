import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { withoutOrientation } from '../../src/playground/worker/webp.ts';
import { hasChromium } from '../helpers/browser.ts';
import { drag, FACE, filled, openFile, usePages } from './open.ts';

/** A face in landscape format that is to be turned when it is shown. */
const turned = (orientation = 6) =>
  sharp(FACE).resize(96, 64).withMetadata({ orientation }).webp({ lossless: true }).toBuffer();
const blobOf = (file: Buffer) => new Blob([new Uint8Array(file)], { type: 'image/webp' });
const bytesOf = async (blob: Blob) => Buffer.from(await blob.arrayBuffer());

test.each([
  3, 6, 8,
])('a WebP with orientation %i is kept without it, and else as it was', async (orientation) => {
  const file = await turned(orientation);
  const kept = await withoutOrientation(blobOf(file));
  expect(kept.type).toBe('image/webp');
  const after = await bytesOf(kept);
  expect((await sharp(file).metadata()).orientation).toBe(orientation);
  expect((await sharp(after).metadata()).orientation).toBe(1);
  expect(after).toHaveLength(file.length);
  const raw = await sharp(file).raw().toBuffer();
  expect((await sharp(after).autoOrient().raw().toBuffer()).equals(raw)).toBe(true);
});

test('EXIF with the prefix of a JPEG, and in the other byte order', async () => {
  const file = await sharp(FACE).withMetadata({ density: 72 }).webp().toBuffer();
  const tiff = Buffer.from('4d4d002a00000008' + '0001' + '0112000300000001' + '00080000' + '00000000', 'hex');
  const start = file.indexOf('EXIF');
  const prefixed = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]);
  const head = Buffer.alloc(8);
  head.write('EXIF');
  head.writeUInt32LE(prefixed.length, 4);
  const changed = Buffer.concat([file.subarray(0, start), head, prefixed]);
  changed.writeUInt32LE(changed.length - 8, 4);
  const after = await bytesOf(await withoutOrientation(blobOf(changed)));
  expect((await sharp(changed).metadata()).orientation).toBe(8);
  expect((await sharp(after).metadata()).orientation).toBe(1);
});

test('other files and malformed ones are left as they are', async () => {
  const jpeg = await sharp(FACE).withMetadata({ orientation: 6 }).jpeg().toBuffer();
  const file = await turned();
  const exif = file.indexOf('EXIF');
  const others = [jpeg, Buffer.alloc(0), Buffer.from('RIFF'), await sharp(FACE).webp().toBuffer()];
  for (let length = 12; length < exif + 30; length++) others.push(file.subarray(0, length));
  const tiff = file.indexOf('II*\0', exif);
  const [size, magic, directory] = [exif + 4, tiff + 2, tiff + 4];
  for (const at of [size, size + 2, magic, directory, directory + 2]) {
    const damaged = Buffer.from(file);
    damaged.writeUInt16LE(0xfff0, at); // sizes and offsets beyond the end
    others.push(damaged);
  }
  for (const other of others) {
    const blob = blobOf(other);
    expect(await withoutOrientation(blob)).toBe(blob);
  }
});

describe.skipIf(!hasChromium)('on the page', () => {
  const pages = usePages();

  test('a WebP with an orientation is filled where it was painted', async () => {
    const page = await pages.open();
    await openFile(page, { name: 'turned.webp', mimeType: 'image/webp', buffer: await turned() });
    await drag(page, [0.3, 0.5], [0.7, 0.5]);
    await page.fill('[name=num_images]', '1');
    await page.click('#fill');
    await filled(page, 1);
  });
});
