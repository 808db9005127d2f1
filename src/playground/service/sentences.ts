import type { Place, Settings } from '../state/types.ts';
import { ServiceError } from './http.ts';

/** An error as a sentence for people, and the place on the page that it belongs to. */
export interface Sentence {
  place: Place;
  text: string;
  /** Whether a smaller copy of the picture may be accepted. */
  offersSmaller?: boolean;
}

const FIELDS: Record<string, string> = {
  model: 'Model',
  num_images: 'Results',
  seed: 'Seed',
  sampler: 'Sampler',
  steps: 'Steps',
  eta: 'Eta',
  strategy: 'Strategy',
  padding: 'Padding',
  mask_grow: 'Grow hole',
  mask_blur: 'Feather',
};

const BY_SLUG: Record<string, Sentence> = {
  unauthorized: { place: 'key', text: 'This service needs an API key. Enter a valid one, then try again.' },
  'empty-mask': { place: 'fill', text: 'There is no hole yet. Paint over what you want replaced.' },
  'unknown-model': {
    place: 'model',
    text: 'The service does not have this model any more. Choose another one.',
  },
  'upload-too-large': {
    place: 'open',
    text: 'This picture’s file is larger than the service accepts. Open a smaller copy of it.',
    offersSmaller: true,
  },
  'picture-too-slow': {
    place: 'open',
    text: 'The service took too long to read this picture. Save it as JPEG or PNG.',
  },
  'unreadable-picture': {
    place: 'open',
    text: 'The service cannot read this picture: the file may be damaged.',
  },
  'unsupported-picture': {
    place: 'open',
    text: 'The service does not read this kind of file. Save the picture as PNG, JPEG or WebP.',
  },
  'engine-failure': { place: 'fill', text: 'The model stopped while it drew this picture. Try again.' },
  'unknown-job': {
    place: 'fill',
    text: 'The service lost this fill three times. Contact the operator of the service.',
  },
  cancelled: { place: 'fill', text: 'This fill was cancelled elsewhere, for example in another tab.' },
};

/** settings: those of the request that failed, if it had any. */
export function sentenceFor(error: unknown, settings?: Settings): Sentence {
  if (!(error instanceof ServiceError)) {
    const detail = error instanceof Error && error.message ? ` (${error.message})` : '';
    return { place: 'fill', text: `Something went wrong on this page. Try again.${detail}` };
  }
  const [first] = error.problem.errors ?? [];
  const field = first?.pointer.replace(/^#\//, '').split('/')[0] ?? '';
  if (error.slug === 'empty-mask' && Number(settings?.mask_grow) < 0)
    return { place: 'mask_grow', text: `Grow hole: ${settings?.mask_grow} px leaves nothing of the hole.` };
  if (error.slug === 'not-ready')
    return { place: 'fill', text: `The service is not ready: ${error.message}. Try again in a few seconds.` };
  if (error.slug === 'engine-failure' && error.message.includes('cannot be loaded'))
    return { place: 'fill', text: `The model could not draw this picture: ${error.message}.` };
  if (error.slug === 'picture-too-large' && field !== 'num_images')
    return { place: 'open', text: `This picture is too large for the service: ${error.message}.` };
  // A proxy answers with a page of its own.
  const slug = error.slug || (error.status === 413 ? 'upload-too-large' : '');
  const known = BY_SLUG[slug];
  if (!known && field in FIELDS) {
    const detail = first.detail.replace(`${field} `, ''); // the page has a name of its own for it
    return { place: field as Place, text: `${FIELDS[field]}: ${detail}.` };
  }
  if (known) return known;
  if (error.status === 0)
    return { place: 'fill', text: 'The service does not answer. Check that it runs, then try again.' };
  if (error.status === 429)
    return { place: 'fill', text: 'The service is busy. Wait a little, then try again.' };
  if (error.status >= 500) {
    const quote = error.requestId ? ` If it happens again, report it as ${error.requestId}.` : '';
    return { place: 'fill', text: `Something went wrong in the service. Try again.${quote}` };
  }
  return { place: 'fill', text: `The service refused this: ${error.message}.` };
}
