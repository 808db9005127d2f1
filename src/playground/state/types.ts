import type { PredictionType } from '../../diffusion/prediction.ts';
import type { ScheduleConfig } from '../../diffusion/schedule.ts';
import type { Spacing } from '../../diffusion/timesteps.ts';

/** What the page knows, as plain data. Views render from it; only actions change it. */

export interface Point {
  x: number;
  y: number;
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Something drawn into the mask, in pixels of the picture. */
export type Shape =
  | {
      kind: 'stroke';
      points: Point[];
      /** Diameter of the brush. */
      size: number;
      /** Share of the radius that is covered fully, 0..1. */
      hardness: number;
      erase: boolean;
    }
  | { kind: 'rectangle'; box: Box; erase: boolean }
  | { kind: 'lasso'; points: Point[]; erase: boolean };

/** A change of the mask. */
export type MaskOperation =
  | { kind: 'draw'; shape: Shape }
  | { kind: 'grow'; by: number }
  | { kind: 'invert' }
  | { kind: 'clear' };

/** A mask that the worker keeps, by its number. */
export interface MaskRef {
  version: number;
  /** Share of the picture that is hole, 0..1. */
  fraction: number;
}

export interface Picture {
  id: string;
  file: Blob;
  name: string;
  width: number;
  height: number;
  /** Whether some pixels are not opaque. */
  transparent: boolean;
  /** The result that it is, after “Continue from this”. */
  from?: Choice;
}

/** What undo and redo move through: the picture, its mask, and the result on display. */
export interface Document {
  picture: Picture;
  mask: MaskRef;
  shown?: Choice;
  /** While the hole is on display: the result that was before it was changed. */
  last?: Choice;
  /** Whether it is as it was opened: the hole, if any, is the transparent part or that of an example. */
  untouched?: boolean;
}

/** A candidate of a run. */
export interface Choice {
  run: string;
  candidate: number;
}

export interface Step {
  label: string;
  document?: Document;
}

/** The fields of a request, as text; an empty one is not sent. */
export interface Settings {
  model: string;
  num_images: string;
  seed: string;
  sampler: string;
  steps: string;
  eta: string;
  strategy: string;
  padding: string;
  mask_grow: string;
  mask_blur: string;
}

export interface PlanLevel {
  network: string;
  scale: number;
  box: Box;
  windows: Box[];
}

/** What the service says about a result. */
export interface Answer {
  model: string;
  seed: number;
  sampler: string;
  steps: number;
  eta: number;
  strategy?: string;
  box?: Box;
  plan?: { evaluations: number; regions: { levels: PlanLevel[] }[] };
  uncertainty?: string;
  timings_ms: Record<string, number>;
}

/** A preview on the way, as the service sent it. */
export interface Frame {
  step: number;
  of: number;
  timestep?: number;
  abar?: number;
  /** data: URLs of the estimate of x_0, and of x_t where it was sent. */
  preview: string;
  noisy?: string;
  box?: Box;
}

export interface Candidate {
  file: Blob;
  /** A small picture of it, and the address of that blob. */
  small: Blob;
  thumbnail: string;
  /** Whether it is not missed when it is gone: it was downloaded or copied, or fills an example. */
  saved: boolean;
}

/** A finished fill. */
export interface Run {
  id: string;
  picture: Picture;
  mask: MaskRef;
  answer: Answer;
  candidates: Candidate[];
  frames: Frame[];
  /** The request's parameters, with the seed and the version of the model that the service chose. */
  fields: Record<string, string>;
  /** The timesteps that the first candidate's sampler visited, noisiest first. */
  visits: number[];
}

/** What a fill in progress is doing. */
export type Phase =
  | { name: 'preparing' | 'sending' | 'receiving' }
  /** seconds: what the fill takes, where the service can tell. */
  | { name: 'queued'; position: number; seconds?: number }
  | { name: 'running'; step: number; of: number; endsAt: number }
  /** Waits until `until` (milliseconds since 1970) and tries again. */
  | { name: 'waiting'; reason: 'busy' | 'loading' | 'unreachable'; until: number };

export interface ActiveFill {
  id: string;
  picture: Picture;
  mask: MaskRef;
  /** What was on display before. */
  before: Document;
  /** Whether nobody has done anything for the results, which are not missed then. */
  isExample: boolean;
  phase: Phase;
  /** Once the service has accepted it. */
  job?: { id: string; fields: Record<string, string> };
  frames: Frame[];
  visits: number[];
}

export type Tool = 'brush' | 'eraser' | 'rectangle' | 'lasso' | 'pan' | 'frame';

/** Where a sentence about an error is shown: beside a field, or beside the part of the page that caused it. */
export type Place = 'open' | 'fill' | 'key' | 'mask' | 'rectangle' | keyof Settings;

export interface ModelInfo {
  ref: string;
  default: boolean;
  card: {
    resolution: number;
    description?: string;
    data: { name: string };
    /** imported_from: the source of a model that was trained elsewhere; data.name only points to it then. */
    training: { imported_from?: string };
    conditioning: 'inpaint' | 'none';
    prediction: PredictionType;
    schedule: ScheduleConfig;
    sampling?: { spacing: Spacing; final_timestep: number };
    defaults: { sampler: string; steps: number; eta: number };
  };
  /** Once it has been loaded. */
  speed?: { seconds_per_fill: number };
  /** While it is loaded. */
  engine?: { workers: number };
}

export interface Limits {
  max_pixels: number;
  max_side: number;
  max_upload_bytes: number;
}

export interface State {
  tab: 'editor' | 'lesson';
  document?: Document;
  past: Step[];
  future: Step[];
  /** Newest first. */
  runs: Run[];
  fill?: ActiveFill;
  settings: Settings;
  key: string;
  tool: Tool;
  brush: { size: number; hardness: number };
  /** Pixels that the frame was moved outwards, for the next extension of the picture. */
  frame: { left: number; top: number; right: number; bottom: number };
  show: { uncertainty: boolean; windows: boolean; before: boolean };
  /** Where before ends and after begins, as a share of the picture's width. */
  divider: number;
  /** What the page says aloud and below the buttons. */
  message: string;
  errors: Partial<Record<Place, string>>;
  /** The picture that `errors.open` calls too large, and the limits for a smaller copy of it. */
  tooLarge?: { picture: Pick<Picture, 'file' | 'name' | 'transparent'>; limits: Limits };
  service: 'asking' | 'loading' | 'ready' | 'busy' | 'failing' | 'unreachable' | 'locked';
  models: ModelInfo[];
  limits?: Limits;
  /** A picture that is being opened. */
  opening: boolean;
  /** Whether the model is generating a face, which can be cancelled. */
  generating: boolean;
  /** Whether the ways to begin are shown over the picture. */
  choosing: boolean;
  viewport: Viewport;
  lesson: {
    /** The timestep that all parts of the lesson show. */
    t: number;
    /** Seed of the noise. */
    seed: number;
    playing: boolean;
  };
  /** The brush's position, in pixels of the picture; undefined while it is not over the picture. */
  cursor?: Point & { keyboard: boolean };
  /** What is being drawn, before it becomes part of the mask. */
  drawing?: Shape;
  /** A question that waits for an answer. */
  question?: Question;
}

/** Where the picture is in the stage, in CSS pixels. */
export interface Viewport {
  /** CSS pixels per pixel of the picture. */
  scale: number;
  x: number;
  y: number;
  /** Whether it follows the size of the stage. */
  fitted: boolean;
}

export interface Question {
  text: string;
  yes: string;
  no: string;
  answer(yes: boolean): void;
}
