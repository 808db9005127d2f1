import { existsSync, readFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { startProcess } from '../helpers/process.ts';
import { pngChunk } from '../image/make.ts';

const MB = 1_000_000;
/** Of the texts in one file, once they are inflated: 1 GB. */
const [TEXTS, TEXT_BYTES] = [20, 50 * MB];

test.skipIf(!existsSync('/proc/self/status'))(
  'texts in a PNG, compressed a thousandfold, take no memory on any route',
  async () => {
    const service = startProcess();
    const url = await service.url;
    const plain = await sharp({ create: { width: 64, height: 64, channels: 4, background: '#0000' } })
      .png()
      .toBuffer();
    const key = Buffer.from('Comment\0\0', 'latin1');
    const text = pngChunk('zTXt', Buffer.concat([key, deflateSync(Buffer.alloc(TEXT_BYTES))]));
    const bomb = Buffer.concat([plain.subarray(0, 33), ...Array(TEXTS).fill(text), plain.subarray(33)]);
    expect(bomb.length).toBeLessThan(MB);

    const post = async (path: string, files: Record<string, Buffer>) => {
      const body = new FormData();
      for (const [name, file] of Object.entries(files))
        body.set(name, new Blob([new Uint8Array(file)]), `${name}.png`);
      if (path !== '/v1/diffuse') body.set('steps', '1');
      const answer = await fetch(url + path, { method: 'POST', body });
      await answer.arrayBuffer();
      return answer.status;
    };
    const peak = () =>
      Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${service.child.pid}/status`, 'utf8'))?.[1]) * 1024;

    const white = await sharp(plain).flatten({ background: 'white' }).png().toBuffer();
    expect(await post('/v1/inpaint', { image: white, mask: white })).toBe(200); // the threads are running
    const before = peak();
    const whiteBomb = Buffer.concat([white.subarray(0, 33), ...Array(TEXTS).fill(text), white.subarray(33)]);
    expect(await post('/v1/inpaint', { image: bomb })).toBe(200);
    expect(await post('/v1/inpaint', { image: white, mask: whiteBomb })).toBe(200);
    expect(await post('/v1/diffuse', { image: bomb })).toBe(200);
    expect(await post('/v1/jobs', { image: bomb })).toBe(202);
    expect(peak() - before).toBeLessThan(100 * MB);
  },
  120_000,
);
