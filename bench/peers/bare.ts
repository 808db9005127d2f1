/**
 * The limit: the network alone. Evaluates single rows in one onnxruntime session of one thread until it is ended, and sends
 * its processor time so far, in milliseconds, to its parent after every one of them. MODEL_FOLDER is the model's folder.
 */
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { readModelCard } from '../../src/model/folder.ts';

const folder = process.env.MODEL_FOLDER ?? '';
const { in_channels: channels, resolution: side } = await readModelCard(folder);
const session = await InferenceSession.create(path.join(folder, 'unet.onnx'), {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
});
const x = new Tensor('float32', new Float32Array(channels * side * side), [1, channels, side, side]);
for (let done = 0; ; done++) {
  await session.run({ x, t: new Tensor('float32', [done % 1000], [1]) });
  const { user, system } = process.cpuUsage();
  process.send?.((user + system) / 1000);
}
