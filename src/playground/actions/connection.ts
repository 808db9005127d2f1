import { ask, ServiceError } from '../service/http.ts';
import type { Limits, ModelInfo } from '../state/types.ts';
import { type App, complain } from './app.ts';

const RETRY_MS = 3000;

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
    try {
      const limits = (await (await ask('playground/limits.json')).json()) as Limits;
      store.set({ limits });
      const { models } = (await (await ask('v1/models', { key })).json()) as {
        models: (ModelInfo & { state: string })[];
      };
      const ready = models.some((model) => model.default && model.state === 'ready');
      store.set({ models, service: ready ? 'ready' : 'loading' });
    } catch (error) {
      const status = error instanceof ServiceError ? error.status : 0;
      if (status === 401) {
        store.set({ service: 'locked' });
        if (key) complain(this.#app, 'key', 'The service does not know this API key.');
        return;
      }
      store.set({ service: status === 503 ? 'loading' : 'unreachable' });
    }
    if (store.state.service !== 'ready') this.#timer = setTimeout(() => void this.check(), RETRY_MS);
  };
}
