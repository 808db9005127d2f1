import type { App } from '../actions/app.ts';
import type { State } from '../state/types.ts';
import { byId } from './dom.ts';

/**
 * Keeps the focus on the page. What has it can be hidden or removed by a change of the state, by a key for example; the
 * browser would give the focus to the body then, where the keyboard reaches nothing. Listens after all views.
 */
export function keepFocus({ store, stage }: App): void {
  let last: Element | null = null;
  document.addEventListener('focusin', ({ target }) => {
    last = target as Element;
  });
  document.addEventListener('focusout', ({ target }) => {
    if ((target as Element).checkVisibility()) last = null; // a click beside everything takes the focus on purpose
  });
  store.onChange((state, before) => {
    const lost = last !== null && !last.checkVisibility();
    const begins =
      state.tab === 'editor' &&
      state.document &&
      !before.document &&
      document.activeElement === document.body;
    if ((lost || begins) && !state.question) fallback(state).focus();
  });
  // After a click (detail 0: from the keyboard) on a tool or a result, letters are shortcuts again, unless the click itself
  // moved the focus, to a field with a wrong value for example. Safari leaves it on the body.
  for (const id of ['toolbar', 'zoom', 'results'])
    byId(id).addEventListener('click', ({ target, detail }) => {
      const control = (target as Element).closest('button, [type=radio]');
      const { activeElement } = document;
      if (detail > 0 && control && (activeElement === control || activeElement === document.body))
        stage.surface.focus({ preventScroll: true });
    });

  function fallback({ tab, document: current, choosing }: State): HTMLElement {
    if (tab === 'lesson') return byId('t');
    return current && !choosing ? stage.surface : byId('open');
  }
}
