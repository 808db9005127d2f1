import sharp from './sharp.ts';

// XMP, because PNG, WebP and JPEG all carry it, and sharp writes and reads it in each.
const NAMESPACE = 'urn:ddpm-inpaint';

/** An XMP packet that holds the record as JSON. */
export function toXmp(record: Record<string, unknown>): string {
  // What XML would object to becomes a JSON escape: ASCII without markup needs no XML escaping, either way.
  const json = JSON.stringify(record).replace(
    /[^\x20-\x7e]|[&<>]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return [
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">',
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">',
    `<rdf:Description rdf:about="" xmlns:ddpm="${NAMESPACE}">`,
    `<ddpm:parameters>${json}</ddpm:parameters>`,
    '</rdf:Description></rdf:RDF></x:xmpmeta>',
  ].join('');
}

/**
 * The metadata encodePicture put into a PNG, WebP or JPEG; undefined where there is none.
 * Rejects when the bytes are no picture.
 */
export async function readMetadata(bytes: Buffer): Promise<Record<string, unknown> | undefined> {
  const { xmpAsString } = await sharp(bytes).metadata();
  const json = xmpAsString?.match(/<ddpm:parameters>([^<]*)<\/ddpm:parameters>/)?.[1];
  return json === undefined ? undefined : JSON.parse(json);
}
