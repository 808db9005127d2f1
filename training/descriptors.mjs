/**
 * node descriptors.mjs RGB DESCRIPTORS SIZE: computes 128-d descriptors of aligned faces with the recognition network of
 * @vladmandic/face-api, whose weights are part of its npm package. RGB is read as uint8 [N, SIZE, SIZE, 3]; DESCRIPTORS
 * is written as float32 [N, 128]. Faces are not detected first: a bad picture must not be left out of the statistics.
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

const INPUT = 150; // input size of the network, px
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
