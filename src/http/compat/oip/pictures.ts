import { exceededLimit, type SizeLimits } from '../../../image/picture.ts';
import sharp from '../../../image/sharp.ts';
import { fieldProblem } from '../../problem.ts';
import { invalid, type Tensor } from './tensors.ts';

/**
 * Pictures travel through the service as files, for which it has its limits and checks: a tensor is made one PNG for each
 * picture. Those are not compressed, because they are decoded at once.
 */
const UNCOMPRESSED = { compressionLevel: 0 };

/** From 0..1 to 0..255. `!(... )` also finds NaN. */
function toBytes(name: string, values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!(value >= 0 && value <= 1)) throw invalid(name, `FP32 values must be from 0 to 1, not ${value}`);
    bytes[i] = Math.round(value * 255);
  }
  return bytes;
}

/** The hole is 0.5 and more, or 128 and more: black and white, without the soft edge that a picture file may have. */
function toMask(name: string, values: Float32Array | Uint8Array): Uint8Array {
  const bytes = values instanceof Float32Array ? toBytes(name, values) : values;
  return bytes.map((value) => (value >= 128 ? 255 : 0));
}

/**
 * The pictures of a tensor [N, H, W, C], or of BYTES [N], as files. `limits`: of each picture. Throws Problem. Files are checked
 * when they are decoded; the sizes of tensors here, because a file of a thin picture takes long to write.
 */
export async function toFiles(tensor: Tensor, limits: SizeLimits): Promise<Uint8Array[]> {
  const { name, shape, values } = tensor;
  if (Array.isArray(values)) return values;
  const [count, height, width, channels] = shape;
  const exceeded = exceededLimit({ width, height }, limits);
  if (exceeded) {
    throw fieldProblem('picture-too-large', name, `${name} is ${width} x ${height} pixels; ${exceeded}`);
  }
  const numbers = values as Float32Array | Uint8Array;
  const bytes =
    channels === 1
      ? toMask(name, numbers)
      : numbers instanceof Float32Array
        ? toBytes(name, numbers)
        : numbers;
  const each = width * height * channels;
  const raw = { width, height, channels: channels as 1 | 3 };
  const files = Array.from({ length: count }, (_, i) =>
    sharp(bytes.subarray(i * each, (i + 1) * each), { raw })
      .png(UNCOMPRESSED)
      .toBuffer(),
  );
  return Promise.all(files).catch(() => {
    throw invalid(name, `a picture of ${width} x ${height} pixels is not possible`); // one side is too long for libvips
  });
}

/** The pictures of these files as one tensor of the given datatype: the inverse of toFiles, for RGB. */
export async function fromFiles(
  name: string,
  files: readonly Uint8Array[],
  datatype: Tensor['datatype'],
): Promise<Tensor> {
  if (datatype === 'BYTES') return { name, datatype, shape: [files.length], values: [...files] };
  const decoded = await Promise.all(
    files.map((file) =>
      sharp(file).toColourspace('srgb').removeAlpha().raw().toBuffer({ resolveWithObject: true }),
    ),
  );
  const { width, height } = decoded[0].info;
  const bytes = Buffer.concat(decoded.map(({ data }) => data));
  const shape = [files.length, height, width, 3];
  if (datatype === 'UINT8') return { name, datatype, shape, values: bytes };
  return { name, datatype, shape, values: Float32Array.from(bytes, (value) => value / 255) };
}
