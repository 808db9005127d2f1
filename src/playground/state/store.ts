import type { Settings, State } from './types.ts';

type Listener = (state: State, before: State) => void;

/** Holds the state. Every change goes through `set`; listeners are called once for all changes of a frame. */
export class Store {
  #state: State;
  #rendered: State;
  #scheduled = false;
  readonly #listeners: Listener[] = [];

  constructor(initial: State) {
    this.#state = this.#rendered = initial;
  }

  get state(): State {
    return this.#state;
  }

  set(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      const before = this.#rendered;
      this.#rendered = this.#state;
      for (const listener of this.#listeners) listener(this.#state, before);
    });
  }

  onChange(listener: Listener): void {
    this.#listeners.push(listener);
  }
}

export const NO_SETTINGS: Settings = {
  model: '',
  num_images: '4',
  seed: '',
  sampler: '',
  steps: '',
  eta: '',
  strategy: '',
  padding: '',
  mask_grow: '',
  mask_blur: '',
};

/** No side of the picture is extended. */
export const NO_FRAME: State['frame'] = { left: 0, top: 0, right: 0, bottom: 0 };

export const INITIAL: State = {
  tab: 'editor',
  past: [],
  future: [],
  runs: [],
  settings: NO_SETTINGS,
  key: '',
  tool: 'brush',
  brush: { size: 30, hardness: 0.8 },
  frame: NO_FRAME,
  show: { uncertainty: false, windows: false, before: false },
  divider: 0.5,
  message: '',
  errors: {},
  service: 'asking',
  models: [],
  opening: false,
  generating: false,
  choosing: false,
  lesson: { t: 300, seed: 7, playing: false },
  viewport: { scale: 1, x: 0, y: 0, fitted: true },
};
