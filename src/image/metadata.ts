// XMP, because PNG, WebP and JPEG support it, and sharp reads and writes it in all three.
const NAMESPACE = 'urn:ddpm-inpaint';

/** An XMP packet that contains the record as JSON. */
export function toXmp(record: Record<string, unknown>): string {
  // JSON escapes replace markup and non-ASCII characters, so that the text needs no XML escaping.
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
