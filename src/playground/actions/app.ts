import type { Store } from '../state/store.ts';
import type { Place, State } from '../state/types.ts';
import type { Stage } from '../view/stage.ts';
import type { Studio } from '../worker/client.ts';

/** What actions work with. */
export interface App {
  store: Store;
  studio: Studio;
  stage: Stage;
}

/**
 * Shows a sentence beside what caused it. Pictures are opened from the lesson too, but the sentence is in the editor.
 * `tooLarge`: the picture that it is about, if a smaller copy is to be offered.
 */
export function complain({ store }: App, place: Place, text: string, tooLarge?: State['tooLarge']): void {
  store.set({ errors: { ...store.state.errors, [place]: text } });
  if (place === 'open') store.set({ tab: 'editor', tooLarge });
}

/** Takes a sentence away: what it was about has changed. */
export function settle({ store }: App, ...places: Place[]): void {
  const errors = { ...store.state.errors };
  for (const place of places) delete errors[place];
  store.set({ errors });
}

/** Asks a question in a dialog. A question that was still open is answered with `no`. */
export function askUser({ store }: App, text: string, yes: string, no: string): Promise<boolean> {
  store.state.question?.answer(false);
  return new Promise((resolve) => {
    const answer = (value: boolean) => {
      store.set({ question: undefined });
      resolve(value);
    };
    store.set({ question: { text, yes, no, answer } });
  });
}
