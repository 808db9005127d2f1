/** Encodes bytes as base64. Image threads return plain Uint8Arrays, which lack Buffer's toString('base64'). */
export function base64(file: Uint8Array): string {
  return Buffer.from(file.buffer, file.byteOffset, file.byteLength).toString('base64');
}
