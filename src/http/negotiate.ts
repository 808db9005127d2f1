import type { FastifyRequest } from 'fastify';
import type { OutputFormat } from '../image/picture.ts';
import { Problem } from './problem.ts';

const FORMATS: OutputFormat[] = ['png', 'jpeg', 'webp'];

export interface Form {
  /** JSON with all pictures, or the picture itself. */
  json: boolean;
  format: OutputFormat;
}

/**
 * The form of the answer, from Accept and the parameters: an image where there is one picture and Accept allows
 * it, else JSON. Throws a 406 problem where nothing fits.
 */
export function negotiate(request: FastifyRequest, format: OutputFormat | undefined, pictures: number): Form {
  const images = pictures === 1 ? (format ? [format] : FORMATS).map((name) => `image/${name}`) : [];
  const offers = [...images, 'application/json'];
  const type = request.accepts().type(offers);
  if (typeof type !== 'string') {
    const why = pictures > 1 ? ' (an image only when one picture is asked for)' : '';
    throw new Problem('not-acceptable', `this answer can be given as ${offers.join(', ')}${why}`);
  }
  if (type === 'application/json') return { json: true, format: format ?? 'png' };
  return { json: false, format: type.slice('image/'.length) as OutputFormat };
}
