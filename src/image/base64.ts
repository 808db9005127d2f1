/** A file as base64. A file from an image thread is a plain Uint8Array, whose toString() is something else. */
export function base64(file: Uint8Array): string {
  return Buffer.from(file.buffer, file.byteOffset, file.byteLength).toString('base64');
}
