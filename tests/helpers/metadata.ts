import sharp from 'sharp';

/**
 * Reads the parameters that encodePicture embedded in a PNG, WebP or JPEG file; undefined if there is none.
 *
 * @throws Error if the bytes are not a picture
 */
export async function readMetadata(bytes: Buffer): Promise<Record<string, unknown> | undefined> {
  const { xmpAsString } = await sharp(bytes).metadata();
  const json = xmpAsString?.match(/<ddpm:parameters>([^<]*)<\/ddpm:parameters>/)?.[1];
  return json === undefined ? undefined : JSON.parse(json);
}
