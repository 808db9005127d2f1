#!/usr/bin/env node
/**
 * Whether the official JavaScript client of OpenAI and Vercel's AI SDK (its openai and openai-compatible providers)
 * work against a server's Images API.
 *
 * usage: check-openai.mjs BASE_URL       (BASE_URL without /v1)
 * needs: npm i openai ai @ai-sdk/openai @ai-sdk/openai-compatible, in a node_modules above this file or in
 *        BAR_NODE_MODULES (default: node/node_modules beside this file)
 * env:   BAR_API_KEY the key to send; BAR_SKIP checks to leave out, separated by commas
 * Prints a line for each check, and one summary line last; exits 0 only if all hold.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateSync, inflateSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const places = [process.env.BAR_NODE_MODULES, join(here, 'node/node_modules')].filter(
  (p) => p && existsSync(p),
);
const load = createRequire(places[0] ? join(places[0], 'x.js') : import.meta.url);
const { default: OpenAI, toFile } = load('openai');
const { generateImage, APICallError } = load('ai');
const { createOpenAI } = load('@ai-sdk/openai');
const { createOpenAICompatible } = load('@ai-sdk/openai-compatible');

const base = process.argv[2].replace(/\/$/, '');
const apiKey = process.env.BAR_API_KEY ?? 'none-needed';
const baseURL = `${base}/v1`;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 120_000 });

// --- PNG: 8 bit, no interlace; read and written here, so that nothing else is needed
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});
const crc = (b) => {
  let c = ~0;
  for (const x of b) c = CRC[(c ^ x) & 255] ^ (c >>> 8);
  return ~c >>> 0;
};
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length);
  body.copy(out, 4);
  out.writeUInt32BE(crc(body), body.length + 4);
  return out;
}
function toPng({ width, height, channels, data }) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  head[9] = channels === 4 ? 6 : 2;
  const rows = Buffer.alloc(height * (1 + width * channels));
  for (let y = 0; y < height; y++)
    Buffer.from(data.buffer, data.byteOffset + y * width * channels, width * channels).copy(
      rows,
      y * (1 + width * channels) + 1,
    );
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
function fromPng(bytes) {
  const file = Buffer.from(bytes);
  assert.equal(file.toString('latin1', 1, 4), 'PNG', 'the answer is not a PNG');
  const width = file.readUInt32BE(16),
    height = file.readUInt32BE(20),
    [depth, colour, , , interlace] = file.subarray(24);
  const channels = { 0: 1, 2: 3, 4: 2, 6: 4 }[colour];
  assert.ok(
    depth === 8 && channels && !interlace,
    `a PNG of depth ${depth}, colour type ${colour}, interlace ${interlace}`,
  );
  const parts = [];
  for (let at = 8; at < file.length; ) {
    const n = file.readUInt32BE(at);
    if (file.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(file.subarray(at + 8, at + 8 + n));
    at += n + 12;
  }
  const raw = inflateSync(Buffer.concat(parts)),
    stride = width * channels,
    data = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const kind = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const a = x >= channels ? data[y * stride + x - channels] : 0,
        b = y ? data[(y - 1) * stride + x] : 0,
        c = y && x >= channels ? data[(y - 1) * stride + x - channels] : 0;
      const pa = Math.abs(b - c),
        pb = Math.abs(a - c),
        pc = Math.abs(a + b - 2 * c);
      const paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
      data[y * stride + x] = raw[y * (stride + 1) + 1 + x] + [0, a, b, (a + b) >> 1, paeth][kind];
    }
  }
  return { width, height, channels, data };
}

// --- the picture: 96 x 80, and a hole of 32 x 28
const [W, H] = [96, 80];
const inHole = (x, y) => x >= 30 && x < 62 && y >= 24 && y < 52;
function picture(channels, at) {
  const data = new Uint8Array(W * H * channels);
  for (let y = 0; y < H; y++) for (let x = 0; x < W; x++) data.set(at(x, y), (y * W + x) * channels);
  return { width: W, height: H, channels, data };
}
const rgb = (x, y) => [60 + (((x * 150) / W) | 0), 40 + (((y * 180) / H) | 0), 200 - (((x * 90) / W) | 0)];
const IMAGE = toPng(picture(3, rgb));
const MASK = toPng(picture(4, (x, y) => (inHole(x, y) ? [0, 0, 0, 0] : [255, 255, 255, 255]))); // transparent: to be edited
const HOLED = toPng(picture(4, (x, y) => (inHole(x, y) ? [30, 30, 30, 0] : [...rgb(x, y), 255])));
const png = (bytes, name = 'image.png') => toFile(bytes, name, { type: 'image/png' });

function isFilled(bytes) {
  const got = fromPng(bytes);
  assert.deepEqual([got.width, got.height], [W, H], `the picture is ${got.width} x ${got.height}`);
  let [outside, inside] = [0, 0];
  for (let y = 0; y < H; y++)
    for (let x = 0; x < W; x++) {
      const p = (y * W + x) * got.channels;
      const differs = rgb(x, y).some((v, c) => v !== got.data[p + c]);
      if (differs) inHole(x, y) ? inside++ : outside++;
    }
  assert.equal(outside, 0, `${outside} pixels outside of the hole changed`);
  assert.ok(inside > 32 * 28 * 0.5, `only ${inside} of ${32 * 28} pixels of the hole were painted`);
  return got;
}
const filled = (item) => isFilled(Buffer.from(item.b64_json, 'base64'));
const differ = (a, b) =>
  assert.ok(!Buffer.from(a.data).equals(Buffer.from(b.data)), 'both candidates are the same picture');
async function fails(kind, status, call, _param) {
  const error = await call().then(
    () => assert.fail(`no ${kind.name} was thrown`),
    (e) => e,
  );
  assert.ok(error instanceof kind, `${error?.name}: ${error?.message}`);
  assert.equal(error.status ?? error.statusCode, status);
  return error;
}

const model = async () =>
  (await client.models.list()).data?.[0]?.id ?? assert.fail('GET /v1/models has no data[]');
const compatible = () => createOpenAICompatible({ name: 'local', baseURL, apiKey });
const openai = () => createOpenAI({ baseURL, apiKey });
const sdk =
  (provider, extra = {}) =>
  async () => {
    const prompt = { text: 'a face', images: [IMAGE], mask: MASK };
    return generateImage({ model: provider.imageModel(await model()), prompt, maxRetries: 0, ...extra });
  };

const checks = {
  async client_models() {
    const found = [];
    for await (const m of client.models.list()) found.push(m); // the iterator wants data[].id
    assert.ok(found.length > 0, 'GET /v1/models has no data[]');
    assert.ok(
      found.every((m) => m.object === 'model' && m.id),
      JSON.stringify(found),
    );
    assert.equal((await client.models.retrieve(found[0].id)).id, found[0].id);
  },
  async client_edit() {
    filled(
      (
        await client.images.edit({
          image: await png(IMAGE),
          mask: await png(MASK, 'mask.png'),
          prompt: 'a face',
          model: await model(),
          size: 'auto',
        })
      ).data[0],
    );
  },
  async client_edit_array() {
    // sends image[]
    filled(
      (await client.images.edit({ image: [await png(IMAGE)], mask: await png(MASK), prompt: 'a face' }))
        .data[0],
    );
  },
  async client_edit_alpha_n2() {
    const { data } = await client.images.edit({ image: await png(HOLED), prompt: 'a face', n: 2 });
    assert.equal(data.length, 2);
    differ(filled(data[0]), filled(data[1]));
  },
  async client_edit_stream() {
    const stream = await client.images.edit({
      image: await png(IMAGE),
      mask: await png(MASK),
      prompt: 'a face',
      stream: true,
      partial_images: 2,
    });
    const types = [];
    let last;
    for await (const event of stream) {
      types.push(event.type);
      last = event;
    }
    assert.match(types.join(), /^(image_edit\.partial_image,){1,2}image_edit\.completed$/);
    filled(last);
  },
  async client_generate() {
    const { data } = await client.images.generate({ prompt: 'a face', n: 2, size: '128x128' });
    const [a, b] = data.map((d) => fromPng(Buffer.from(d.b64_json, 'base64')));
    assert.deepEqual([a.width, a.height], [128, 128]);
    differ(a, b);
  },
  async client_variation() {
    const square = toPng({
      width: 64,
      height: 64,
      channels: 3,
      data: new Uint8Array(64 * 64 * 3).map((_, i) => i % 251),
    });
    const { data } = await client.images.createVariation({ image: await png(square), n: 1 });
    assert.equal(fromPng(Buffer.from(data[0].b64_json, 'base64')).width, 64);
  },
  async client_errors() {
    const bad = await fails(OpenAI.BadRequestError, 400, async () =>
      client.images.edit({ image: await png(Buffer.from('no picture')), prompt: 'x' }),
    );
    assert.equal(bad.param, 'image');
    assert.ok(bad.type && bad.requestID && !/undefined|no body/.test(bad.message), bad.message);
    const lost = await fails(OpenAI.NotFoundError, 404, async () =>
      client.images.generate({ prompt: 'x', model: 'no-such-model' }),
    );
    assert.equal(lost.code, 'model_not_found');
  },
  async sdk_compatible_edit() {
    const { images, warnings } = await sdk(compatible())();
    assert.equal(images.length, 1);
    assert.equal(images[0].mediaType, 'image/png');
    isFilled(images[0].uint8Array);
    assert.deepEqual(warnings, []);
  },
  async sdk_compatible_edit_n2() {
    const { images } = await sdk(compatible(), { n: 2 })();
    assert.equal(images.length, 2);
    differ(isFilled(images[0].uint8Array), isFilled(images[1].uint8Array));
  },
  async sdk_compatible_options() {
    // what a client sends beside: its own fields and the seed
    const go = sdk(compatible(), {
      size: `${W}x${H}`,
      providerOptions: { local: { seed: 7, quality: 'low', user: 'u1' } },
    });
    const [a, b] = [await go(), await go()].map((r) => isFilled(r.images[0].uint8Array));
    assert.ok(Buffer.from(a.data).equals(Buffer.from(b.data)), 'the same seed gave two pictures');
  },
  async sdk_compatible_generate() {
    const { image } = await generateImage({
      model: compatible().imageModel(await model()),
      prompt: 'a face',
      size: '256x256',
      maxRetries: 0,
    });
    assert.equal(fromPng(image.uint8Array).width, 256);
  },
  async sdk_openai_edit_n2() {
    // this provider splits n over requests for models it does not know
    const { images } = await sdk(openai(), {
      n: 2,
      providerOptions: {
        openai: { quality: 'high', outputFormat: 'png', background: 'auto', inputFidelity: 'high' },
      },
    })();
    assert.equal(images.length, 2);
    differ(isFilled(images[0].uint8Array), isFilled(images[1].uint8Array));
  },
  async sdk_openai_generate() {
    // sends response_format: b64_json
    const { image, usage } = await generateImage({
      model: openai().imageModel(await model()),
      prompt: 'a face',
      maxRetries: 0,
    });
    fromPng(image.uint8Array);
    assert.ok(usage);
  },
  async sdk_errors() {
    // the message shown is error.message of the body, else only the status text
    for (const provider of [compatible(), openai()]) {
      const lost = await fails(APICallError, 404, () =>
        generateImage({ model: provider.imageModel('no-such-model'), prompt: 'x', maxRetries: 0 }),
      );
      assert.ok(lost.data?.error?.message, `the body is not understood: ${lost.responseBody}`);
      assert.equal(lost.isRetryable, false);
    }
  },
};

const skip = new Set((process.env.BAR_SKIP ?? '').split(','));
const failed = [];
const todo = Object.entries(checks).filter(([name]) => !skip.has(name));
for (const [name, run] of todo) {
  try {
    await run();
    console.log(`  ok    ${name}`);
  } catch (error) {
    failed.push(name);
    console.log(
      `  FAILS ${name}: ${error?.name}: ${String(error?.message).replaceAll('\n', ' ').slice(0, 300)}`,
    );
  }
}
const version = (name) => {
  // the packages do not export their package.json
  const path = load.resolve(name);
  return JSON.parse(
    readFileSync(
      `${path.slice(0, path.lastIndexOf(`node_modules/${name}/`))}node_modules/${name}/package.json`,
    ),
  ).version;
};
console.log(
  `openai ${version('openai')}, ai ${version('ai')} (JavaScript): ${todo.length - failed.length} of ${todo.length} hold${failed.length ? `; falls short: ${failed.join(', ')}` : ''}`,
);
process.exit(failed.length ? 1 : 0);
