import type { App } from '../actions/app.ts';
import { byId } from './dom.ts';

const TABS = ['editor', 'lesson'] as const;

const LESSON = '#lesson';

/** The two tabs of the page: arrow keys move between them, and so do the browser's Back and Forward. */
export function listenToTabs({ store }: App): void {
  const followAddress = () => store.set({ tab: location.hash === LESSON ? 'lesson' : 'editor' });
  addEventListener('popstate', followAddress);
  followAddress();
  for (const [i, tab] of TABS.entries()) {
    const button = byId(`tab-${tab}`);
    button.addEventListener('click', () => store.set({ tab }));
    button.addEventListener('keydown', ({ key }) => {
      if (key !== 'ArrowLeft' && key !== 'ArrowRight') return;
      const next = TABS[1 - i];
      store.set({ tab: next });
      byId(`tab-${next}`).focus();
    });
  }
  store.onChange((state, before) => {
    if (state.tab === before.tab) return;
    const isLesson = state.tab === 'lesson';
    if (isLesson !== (location.hash === LESSON))
      history.pushState(null, '', isLesson ? LESSON : location.pathname + location.search);
    for (const tab of TABS) {
      const chosen = state.tab === tab;
      byId(tab).hidden = !chosen;
      const button = byId(`tab-${tab}`);
      button.ariaSelected = String(chosen);
      button.tabIndex = chosen ? 0 : -1;
    }
  });
}
