import type { FastifyRequest } from 'fastify';
import { OUTPUT_FORMATS, type OutputFormat } from '../image/picture.ts';
import { Problem } from './problem.ts';

const EVENTS = 'text/event-stream';
/** Clients add it to the types of texts. The offers have no parameters, and all texts are UTF-8 anyway. */
const CHARSET = /;\s*charset="?utf-8"?/gi;

/** The representation of an answer (RFC 9110, section 3.2). */
export interface Representation {
  /** The picture itself, JSON with all pictures, or a stream of events that ends with that JSON. */
  kind: 'image' | 'json' | 'events';
  format: OutputFormat;
}

/**
 * Chooses the representation from Accept and the parameters: an image when there is one picture and Accept allows it,
 * else JSON; events when Accept prefers them. Throws the problem not-acceptable when nothing matches.
 */
export function negotiate(
  request: FastifyRequest,
  format: OutputFormat | undefined,
  pictures: number,
  { events = true } = {},
): Representation {
  const images = pictures === 1 ? (format ? [format] : OUTPUT_FORMATS).map((name) => `image/${name}`) : [];
  const offers = [...images, 'application/json', ...(events ? [EVENTS] : [])];
  const { headers } = request.raw;
  headers.accept = headers.accept?.replace(CHARSET, '');
  const type = request.accepts().type(offers);
  if (typeof type !== 'string') {
    const why = pictures > 1 ? ' (an image only when num_images is 1)' : '';
    throw new Problem('not-acceptable', `this answer is available as ${offers.join(', ')}${why}`);
  }
  if (type === EVENTS) return { kind: 'events', format: format ?? 'png' };
  if (type === 'application/json') return { kind: 'json', format: format ?? 'png' };
  return { kind: 'image', format: type.slice('image/'.length) as OutputFormat };
}
