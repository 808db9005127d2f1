import { ask, ServiceError } from '../service/http.ts';
import type { Limits, ModelInfo, State } from '../state/types.ts';
import { type App, complain } from './app.ts';

const RETRY_S = 3;

/** Asks for the models and the limits, again and again until the service is ready. */
export class Connection {
  readonly #app: App;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(app: App) {
    this.#app = app;
    app.store.onChange(({ errors }, before) => {
      if (errors.model && errors.model !== before.errors.model) void this.check(); // that model is gone: the list is old
    });
  }

  readonly check = async (): Promise<void> => {
    clearTimeout(this.#timer);
    const { store } = this.#app;
    const { key } = store.state;
    let retryS = RETRY_S;
    try {
      const limits = (await (await ask('playground/limits.json')).json()) as Limits;
      store.set({ limits });
      const { models } = (await (await ask('v1/models', { key })).json()) as {
        models: (ModelInfo & { state: string })[];
      };
      const ready = models.some((model) => model.default && model.state === 'ready');
      store.set({ models, service: ready ? 'ready' : 'loading' });
    } catch (error) {
      const { status, retryAfterS } = error instanceof ServiceError ? error : new ServiceError(0);
      if (status === 401) {
        store.set({ service: 'locked' });
        if (key) complain(this.#app, 'key', 'The service does not know this API key.');
        return;
      }
      store.set({ service: stateBy(status) });
      retryS = retryAfterS ?? RETRY_S;
    }
    if (store.state.service !== 'ready') this.#timer = setTimeout(() => void this.check(), 1000 * retryS);
  };
}

/** What an answer with this status says about the service; 0 if there was none. */
function stateBy(status: number): State['service'] {
  if (status === 503) return 'loading';
  if (status === 429) return 'busy';
  return [0, 502, 504].includes(status) ? 'unreachable' : 'failing';
}
