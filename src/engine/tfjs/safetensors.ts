import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { EngineError } from '../engine.ts';

/** A parameter in PyTorch's shape, row-major. */
export interface Parameter {
  shape: number[];
  data: Float32Array;
}

const size = z.int().min(0);
const entry = z.object({ dtype: z.string(), shape: z.array(size), data_offsets: z.tuple([size, size]) });
const header = z.record(z.string(), entry);

const BYTES: Partial<Record<string, number>> = { F16: 2, F32: 4 };

/**
 * Every tensor of a safetensors file, as float32, by name. Rejects with EngineError that names the file and the problem.
 */
export async function readSafetensors(file: string): Promise<Map<string, Parameter>> {
  try {
    return parseSafetensors(await readFile(file));
  } catch (error) {
    throw new EngineError(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * The tensors in the bytes of a safetensors file: the header's length (u64, little-endian), the header (JSON), the data.
 * Reads F16 and F32. Throws EngineError.
 */
export function parseSafetensors(bytes: Uint8Array): Map<string, Parameter> {
  const { buffer, byteOffset, byteLength } = bytes;
  if (byteLength < 8) throw new EngineError('it is too short for a safetensors file');
  const start = 8 + Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
  if (start > byteLength) throw new EngineError('it ends within its header: copy it again');
  const parameters = new Map<string, Parameter>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(readHeader(bytes.subarray(8, start)))) {
    const [from, to] = data_offsets;
    const width = BYTES[dtype];
    if (!width) throw new EngineError(`${name} is ${dtype}, but only F16 and F32 are supported`);
    if (to - from !== width * shape.reduce((a, b) => a * b, 1)) {
      throw new EngineError(`${name} has ${to - from} bytes, which does not match ${dtype} [${shape}]`);
    }
    if (start + to > byteLength) throw new EngineError(`it ends before ${name} does: copy it again`);
    const data = buffer.slice(byteOffset + start + from, byteOffset + start + to);
    parameters.set(name, {
      shape,
      data: width === 2 ? widen(new Uint16Array(data)) : new Float32Array(data),
    });
  }
  return parameters;
}

function readHeader(bytes: Uint8Array): z.infer<typeof header> {
  try {
    const { __metadata__, ...tensors } = JSON.parse(Buffer.from(bytes).toString());
    return header.parse(tensors);
  } catch (error) {
    throw new EngineError('its header is not a safetensors header', { cause: error });
  }
}

/**
 * Exact conversion of float16 bits to float32. Sign, exponent and fraction are moved to their place in a float32, and the
 * result is multiplied by 2^(127 - 15), the difference of the exponent biases. This is exact for subnormal numbers too.
 */
function widen(halves: Uint16Array): Float32Array {
  const bits = Uint32Array.from(halves, (half) => ((half & 0x8000) << 16) | ((half & 0x7fff) << 13));
  return new Float32Array(bits.buffer).map((unbiased) => unbiased * 2 ** 112);
}
