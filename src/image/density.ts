import { swapsAxes } from './exif.ts';
import type { InputFormat } from './format.ts';
import type { PictureHeader } from './header.ts';
import type { Density } from './picture.ts';
import { headChunks, type PngChunk } from './png.ts';

/** Units of a JFIF header by their code (ITU-T T.871, 10.1). */
const JFIF_UNITS = ['none', 'inch', 'cm'] as const;
const PER_METRE = { none: 1, metre: 1, inch: 1 / 0.0254, cm: 100 } as const;
const JFIF_LARGEST = 0xffff;
/** PNG's integers have 31 bits. */
const PHYS_LARGEST = 2 ** 31 - 1;

/**
 * The density that a file states: in the pHYs chunk of a PNG, the JFIF header of a JPEG, or else in tags of EXIF or TIFF.
 * undefined if it states none. That of the picture after EXIF orientation is applied.
 */
export function readDensity(file: Buffer, format: InputFormat, header: PictureHeader): Density | undefined {
  const stored = storedDensity(file, format, header);
  return stored && swapsAxes(header.orientation) ? { ...stored, x: stored.y, y: stored.x } : stored;
}

function storedDensity(file: Buffer, format: InputFormat, header: PictureHeader): Density | undefined {
  if (format === 'png') {
    const data = headChunks(file, ['pHYs'])[0]?.data;
    if (data?.length !== 9) return undefined;
    const view = new DataView(data.buffer, data.byteOffset);
    return { x: view.getUint32(0), y: view.getUint32(4), unit: data[8] === 1 ? 'metre' : 'none' };
  }
  const jfif = format === 'jpeg' && file.toString('latin1', 6, 11) === 'JFIF\0' && file[3] === 0xe0;
  if (jfif) {
    const unit = JFIF_UNITS[file[13]];
    const [x, y] = [file.readUInt16BE(14), file.readUInt16BE(16)];
    // 1 : 1 without a unit says nothing: it is what encoders write when they know no density.
    if (unit && x > 0 && y > 0 && (unit !== 'none' || x !== y)) return { x, y, unit };
  }
  const { density, resolutionUnit } = header;
  if (density === undefined || resolutionUnit === undefined) return undefined;
  return { x: density, y: density, unit: 'inch' }; // sharp reports pixels per inch
}

/** Both numbers times `scale`, rounded; undefined unless they are in 1..largest. */
function integers({ x, y }: Density, scale: number, largest: number): { x: number; y: number } | undefined {
  const scaled = { x: Math.round(x * scale), y: Math.round(y * scale) };
  const fit = Object.values(scaled).every((number) => number >= 1 && number <= largest);
  return fit ? scaled : undefined;
}

/** The density as a pHYs chunk; undefined if its numbers do not fit into one. */
export function toPhys(density: Density): PngChunk | undefined {
  const numbers = integers(density, PER_METRE[density.unit], PHYS_LARGEST);
  if (!numbers) return undefined;
  const data = Buffer.alloc(9);
  data.writeUInt32BE(numbers.x, 0);
  data.writeUInt32BE(numbers.y, 4);
  data[8] = density.unit === 'none' ? 0 : 1;
  return { type: 'pHYs', data };
}

/** The density as a JFIF segment; undefined if its numbers do not fit into one. */
export function toJfif(density: Density): Buffer | undefined {
  const { unit } = density;
  const scale = unit === 'metre' ? PER_METRE.metre / PER_METRE.inch : 1;
  const numbers = integers(density, scale, JFIF_LARGEST);
  if (!numbers) return undefined;
  const segment = Buffer.from([0xff, 0xe0, 0, 16, ...Buffer.from('JFIF\0'), 1, 1, 0, 0, 0, 0, 0, 0, 0]);
  segment[11] = JFIF_UNITS.indexOf(unit === 'metre' ? 'inch' : unit);
  segment.writeUInt16BE(numbers.x, 12);
  segment.writeUInt16BE(numbers.y, 14);
  return segment;
}
