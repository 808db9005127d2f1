import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { EngineError } from '../engine.ts';

/** A parameter as it was trained: PyTorch's shape, row-major. */
export interface Parameter {
  shape: number[];
  data: Float32Array;
}

const size = z.int().min(0);
const entry = z.object({ dtype: z.string(), shape: z.array(size), data_offsets: z.tuple([size, size]) });
const header = z.record(z.string(), entry);

const BYTES: Partial<Record<string, number>> = { F16: 2, F32: 4 };

/** Every tensor of a safetensors file as float32, by name. Rejects with EngineError, naming the file and what is wrong. */
export async function readSafetensors(file: string): Promise<Map<string, Parameter>> {
  try {
    return parseSafetensors(await readFile(file));
  } catch (error) {
    throw new EngineError(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** The format: the header's length (u64, little-endian), the header (JSON), then the tensors' bytes. */
export function parseSafetensors(bytes: Uint8Array): Map<string, Parameter> {
  const { buffer, byteOffset, byteLength } = bytes;
  if (byteLength < 8) throw new EngineError('it is too short for a safetensors file');
  const start = 8 + Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
  if (start > byteLength) throw new EngineError('it ends within its header: copy it again');
  const parameters = new Map<string, Parameter>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(readHeader(bytes.subarray(8, start)))) {
    const [from, to] = data_offsets;
    const width = BYTES[dtype];
    if (!width) throw new EngineError(`${name} is ${dtype}, and F16 and F32 are what can be read`);
    if (to - from !== width * shape.reduce((a, b) => a * b, 1)) {
      throw new EngineError(`${name} has ${to - from} bytes, which ${dtype} [${shape}] is not`);
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
    throw new EngineError('its header is not one of safetensors', { cause: error });
  }
}

/**
 * Half floats to floats, exactly: sign, exponent and fraction move to their place in a float32, which then only lacks
 * the difference of the two exponents' biases, 127 - 15. That holds for subnormal numbers too.
 */
function widen(halves: Uint16Array): Float32Array {
  const bits = Uint32Array.from(halves, (half) => ((half & 0x8000) << 16) | ((half & 0x7fff) << 13));
  return new Float32Array(bits.buffer).map((misplaced) => misplaced * 2 ** 112);
}
