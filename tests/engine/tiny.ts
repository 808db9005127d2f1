import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gaussian } from '../../src/diffusion/noise.ts';
import type { NetworkSpec } from '../../src/engine/network.ts';
import { readSafetensors } from '../../src/engine/tfjs/safetensors.ts';

const NARROWER = 16;

/**
 * The real network with a sixteenth of its channels and random weights, in a folder of its own: every layer of the
 * real one, and a thousand evaluations take seconds.
 */
export async function tinyModelSpec(real: NetworkSpec): Promise<NetworkSpec> {
  const header: Record<string, unknown> = {};
  const chunks: Buffer[] = [];
  let offset = 0;
  const parameters = await readSafetensors(path.join(real.folder, 'weights.safetensors'));
  for (const [name, parameter] of parameters) {
    // What the picture, its patches and the filters fix is smaller than any width.
    const shape = parameter.shape.map((size) => (size < 64 ? size : size / NARROWER));
    const size = shape.reduce((a, b) => a * b, 1);
    const data = gaussian({ seed: 1, candidate: 0, step: offset }, size).map((value) => value * 0.3);
    chunks.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const folder = await mkdtemp(path.join(tmpdir(), 'tiny-'));
  await writeFile(path.join(folder, 'weights.safetensors'), Buffer.concat([length, json, ...chunks]));
  const { base } = real.networks;
  if (!base.architecture) throw new Error('the model has no architecture');
  const { patch, head_dim, groups } = base.architecture;
  const architecture = { patch, head_dim: head_dim / NARROWER, groups: groups / 8 };
  return { ...real, folder, networks: { base: { ...base, resolution: 16, architecture } } };
}
