import { asBuffer } from './buffer.ts';

/** Encodes bytes as base64. */
export function base64(file: Uint8Array): string {
  return asBuffer(file).toString('base64');
}
