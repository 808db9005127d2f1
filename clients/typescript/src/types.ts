import type { components } from './schemas.ts';

type Schemas = components['schemas'];
export type Problem = Schemas['Problem'];
export type Job = Schemas['Job'];
/** The JSON answer of a fill, with all candidates as base64. */
export type Inpainted = Schemas['Inpainted'];
/** Parameters of a fill; the service's OpenAPI document describes each. */
export type Parameters = Omit<Schemas['InpaintForm'], 'image' | 'mask'>;

/** A picture file: its bytes, or a Blob of them. */
export type Picture = Uint8Array<ArrayBuffer> | Blob;

export interface FillOptions extends Parameters {
  /** White where the picture is to be filled. When absent, the picture's transparent pixels are filled. */
  mask?: Picture;
  signal?: AbortSignal;
}

export interface FileOptions extends Omit<FillOptions, 'mask' | 'format'> {
  /** Path of the mask. */
  mask?: string;
}

export interface JobOptions extends FillOptions, Pick<Schemas['JobForm'], 'task' | 'webhook'> {
  /** Called with the job when it was accepted, and whenever it was asked for. */
  onProgress?: (job: Job) => void;
}

/** A filled picture file, and what it takes to get the same one again. */
export interface Filled {
  picture: Uint8Array<ArrayBuffer>;
  model: string;
  seed: number;
}

/** What stream() yields: the place in the queue, the progress, and the answer. */
export type FillEvent =
  | { event: 'queued'; data: { position: number } }
  | { event: 'progress'; data: Progress }
  | { event: 'result'; data: Inpainted };

export interface Progress {
  /** Evaluations of the network done and to do, over all windows and candidates. */
  step: number;
  of: number;
  /** Estimated milliseconds until the last one is done. */
  eta_ms: number;
  /** Timestep of the first candidate's last complete step, T - 1 to 0, and the share of the signal's variance in x_t there. */
  timestep: number;
  abar: number;
  /** After every preview_every evaluations: the picture as it is estimated now, as a data: URL. */
  preview?: string;
  /** Where the preview lies in the picture, in pixels. */
  box?: Inpainted['box'];
  /** With preview_noisy: the x_t that the preview was estimated from, as a data: URL. */
  noisy?: string;
}
