import type { FastifyRequest } from 'fastify';
import type { OutputFormat } from '../image/picture.ts';
import { Problem } from './problem.ts';

const EVENTS = 'text/event-stream';
const FORMATS: OutputFormat[] = ['png', 'jpeg', 'webp'];

export interface Form {
  /** The picture itself, JSON with all pictures, or that JSON at the end of a stream of events. */
  kind: 'image' | 'json' | 'events';
  format: OutputFormat;
}

/**
 * The form of the answer, from Accept and the parameters: an image where there is one picture and Accept allows
 * it, else JSON; events where they are asked for. Throws a 406 problem where nothing fits.
 */
export function negotiate(
  request: FastifyRequest,
  format: OutputFormat | undefined,
  pictures: number,
  { events = true } = {},
): Form {
  const images = pictures === 1 ? (format ? [format] : FORMATS).map((name) => `image/${name}`) : [];
  const offers = [...images, 'application/json', ...(events ? [EVENTS] : [])];
  const type = request.accepts().type(offers);
  if (typeof type !== 'string') {
    const why = pictures > 1 ? ' (an image only when one picture is asked for)' : '';
    throw new Problem('not-acceptable', `this answer can be given as ${offers.join(', ')}${why}`);
  }
  if (type === EVENTS) return { kind: 'events', format: format ?? 'png' };
  if (type === 'application/json') return { kind: 'json', format: format ?? 'png' };
  return { kind: 'image', format: type.slice('image/'.length) as OutputFormat };
}
