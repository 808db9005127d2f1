/** The same bytes as a Buffer, not copied. Other threads send plain Uint8Arrays. */
export const asBuffer = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);
