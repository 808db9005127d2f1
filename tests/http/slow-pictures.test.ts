import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApp, type TestApp } from '../helpers/app.ts';

const clear = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 4, background: '#0000' } });

async function send(service: TestApp, file: Buffer) {
  const body = new FormData();
  body.set('image', new Blob([new Uint8Array(file)]), 'image');
  body.set('steps', '1');
  const answer = await fetch(`${service.url}/v1/inpaint`, { method: 'POST', body });
  const type = answer.headers.get('content-type') ?? '';
  return { status: answer.status, body: type.includes('json') ? await answer.json() : undefined };
}

const held = async ({ metrics, app }: TestApp) => {
  await app.inject('/metrics');
  return (await metrics.pictureBytes.get()).values[0].value;
};

describe('limits on what decoding a picture may take', () => {
  let service: TestApp;
  let slow: Buffer;
  beforeAll(async () => {
    service = await startApp({ DECODE_TIMEOUT_MS: '100', MAX_SIDE: '6000' });
    slow = await clear(5000, 5000).avif({ effort: 0 }).toBuffer(); // its decoder cannot be interrupted
    const small = await clear(64, 64).png().toBuffer();
    // From now on a thread is running: its start counts as well.
    while ((await send(service, small)).status === 422);
  }, 120_000);
  afterAll(() => service.app.close());

  test('a picture that takes too long is refused, and keeps its memory until its decoder has ended', async () => {
    const heldAfterwards = async () => {
      const { status, body } = await send(service, slow);
      expect(status).toBe(422);
      expect(body).toMatchObject({ type: '/problems/picture-too-slow', errors: [{ pointer: '#/image' }] });
      return held(service);
    };
    // On a busy machine, reading the header may already take too long. Nothing is reserved then.
    await expect.poll(heldAfterwards).toBeGreaterThan(0);
    await expect.poll(() => held(service)).toBe(0);
  });

  test('a side longer than MAX_SIDE is refused, from the header', async () => {
    const { status, body } = await send(service, await clear(1, 6001).png().toBuffer());
    expect(status).toBe(413);
    expect(body).toMatchObject({ detail: expect.stringMatching(/1 x 6001 pixels.* 6000/) });
    expect((await send(service, await clear(1, 6000).png().toBuffer())).status).toBe(200);
  });
});

test('small pictures get through while slow ones are decoded', async () => {
  const service = await startApp({ MAX_DECODED_BYTES: '8000000000' });
  try {
    const slow = await clear(2500, 2500).avif({ effort: 0 }).toBuffer();
    const small = await clear(64, 64).png().toBuffer();
    await send(service, small); // the model is loaded, and a thread is running
    let slowOnesLeft = 6;
    const slowOnes = Array.from({ length: slowOnesLeft }, async () => {
      const body = new FormData();
      body.set('image', new Blob([new Uint8Array(slow)]), 'image');
      const answer = await fetch(`${service.url}/v1/diffuse`, { method: 'POST', body });
      expect(answer.status).toBe(200);
      slowOnesLeft--;
    });
    await expect.poll(() => held(service)).toBeGreaterThan(0);
    expect((await send(service, small)).status).toBe(200);
    expect(slowOnesLeft).toBeGreaterThan(3);
    await Promise.all(slowOnes);
  } finally {
    await service.app.close();
  }
});
