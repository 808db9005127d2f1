/**
 * node descriptors.mjs RGB DESCRIPTORS SIZE: 128-d face descriptors (@vladmandic/face-api's recognition network, whose
 * weights come with its npm package) of aligned faces. RGB: uint8 [N, SIZE, SIZE, 3]; DESCRIPTORS: float32 [N, 128].
 * No detection comes before: every picture is a face, and a bad one must not be left out of the statistics.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);
const tf = require('@tensorflow/tfjs');
require('@tensorflow/tfjs-backend-wasm');
await tf.setBackend('wasm');
await tf.ready();
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');

const [rgbFile, descriptorFile, size] = process.argv.slice(2);
const side = Number(size);
const models = path.join(path.dirname(require.resolve('@vladmandic/face-api/package.json')), 'model');
await faceapi.nets.faceRecognitionNet.loadFromDisk(models);

const INPUT = 150; // the network's own size
const BATCH = 16;
const rgb = readFileSync(rgbFile);
const count = rgb.length / (side * side * 3);
const out = new Float32Array(count * 128);
for (let from = 0; from < count; from += BATCH) {
  const rows = Math.min(BATCH, count - from);
  const descriptors = tf.tidy(() => {
    const bytes = rgb.subarray(from * side * side * 3, (from + rows) * side * side * 3);
    const faces = tf.tensor4d(new Float32Array(bytes), [rows, side, side, 3]);
    const resized = tf.image.resizeBilinear(faces, [INPUT, INPUT]);
    return faceapi.nets.faceRecognitionNet.forwardInput(new faceapi.NetInput(tf.unstack(resized)));
  });
  out.set(await descriptors.data(), from * 128);
  descriptors.dispose();
}
writeFileSync(descriptorFile, new Uint8Array(out.buffer));
