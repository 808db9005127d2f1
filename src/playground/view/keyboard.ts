import type { App } from '../actions/app.ts';
import type { Editing } from '../actions/editing.ts';
import type { Filling } from '../actions/filling.ts';
import type { Point, Tool } from '../state/types.ts';
import { byId, create } from './dom.ts';
import { ARROWS } from './frame.ts';
import { begun, extended, type Pointer } from './pointer.ts';
import { centred, toStage, zoomedInMiddle } from './viewport.ts';

const TOOLS: Record<string, Tool> = {
  b: 'brush',
  e: 'eraser',
  r: 'rectangle',
  l: 'lasso',
  x: 'frame',
  m: 'pan',
};
const SHORTCUTS = [
  ['B E R L X M', 'brush, eraser, rectangle, lasso, extend, move'],
  ['[ ]', 'smaller or larger brush'],
  ['{ }', 'softer or harder brush'],
  ['Ctrl+Z, Ctrl+Shift+Z', 'undo, redo'],
  ['wheel, + −', 'zoom'],
  ['0, 1', 'fitted, 100 %'],
  ['Space and drag', 'move the picture'],
  ['arrow keys', 'move the brush (on the picture); with Shift by one pixel'],
  ['Space (on the picture)', 'paint at the brush; hold it while you move'],
  ['I, Delete', 'invert, clear the hole'],
  ['Ctrl+Enter', 'fill'],
  ['C', 'before and after'],
  ['Esc', 'cancel; close the examples'],
];

/** All keys of the editor. Single characters work while the picture has the focus, letters in either case. */
export class Keyboard {
  readonly #app: App;
  readonly #editing: Editing;
  readonly #filling: Filling;
  readonly #pointer: Pointer;

  constructor(app: App, editing: Editing, filling: Filling, pointer: Pointer) {
    this.#app = app;
    this.#editing = editing;
    this.#filling = filling;
    this.#pointer = pointer;
    document.addEventListener('keydown', (event) => {
      if (this.#pressed(event)) event.preventDefault();
    });
    document.addEventListener('keyup', (event) => {
      if (event.key === 'Tab' && event.target === app.stage.surface) this.#showBrush();
      if (event.key !== ' ') return;
      pointer.space = false;
      if (this.#app.store.state.cursor?.keyboard) pointer.finish();
    });
    window.addEventListener('blur', () => {
      pointer.space = false;
    });
    const rows = SHORTCUTS.flatMap(([keys, what]) => [
      create('dt', { textContent: keys }),
      create('dd', { textContent: what }),
    ]);
    byId('shortcuts').append(...rows);
  }

  /** Whether the key was one of the editor's. */
  #pressed(event: KeyboardEvent): boolean {
    const { store, stage } = this.#app;
    const { state } = store;
    const { target, key } = event;
    if (key === 'Escape' && state.drawing) return this.#do(() => store.set({ drawing: undefined }));
    if (key === 'Escape' && state.choosing && !state.question)
      return this.#do(() => store.set({ choosing: false }));
    if (key === 'Escape' && state.fill && !state.question) return this.#do(() => void this.#filling.cancel());
    const isCovered = !state.document || state.choosing || state.question; // nobody would see what a key changes
    if (state.tab !== 'editor' || isCovered) return false;
    const command = event.ctrlKey || event.metaKey;
    const isSetting = !(target instanceof Element && target.matches('#curl, #key'));
    if (command && key === 'Enter' && isSetting)
      return this.#do(() => byId<HTMLFormElement>('panel').requestSubmit());
    if (isTyping(target)) return false;
    const letter = key.toLowerCase();
    if (command) {
      if (letter === 'z')
        return this.#do(() => (event.shiftKey ? this.#editing.redo() : this.#editing.undo()));
      if (letter === 'y') return this.#do(() => this.#editing.redo());
      return false;
    }
    // Elsewhere, somebody who speaks or types ahead would press them by mistake (WCAG 2.1.4).
    if (event.altKey || (target !== stage.surface && target !== document.body)) return false;
    if (target === stage.surface && this.#onCanvas(event)) return true;
    if (key !== ' ') return this.#shortcut(key, letter);
    this.#pointer.space = true;
    return true;
  }

  #shortcut(key: string, letter: string): boolean {
    const { store, stage } = this.#app;
    const { brush, viewport, document: current } = store.state;
    if (!current) return false;
    const zoom = (factor: number) =>
      store.set({ viewport: zoomedInMiddle(viewport, factor, current.picture, stage.size) });
    if (letter in TOOLS) return this.#do(() => store.set({ tool: TOOLS[letter] }));
    switch (letter) {
      case '[':
      case ']':
        return this.#do(() => {
          const size = key === '[' ? Math.floor(brush.size / 1.25) : Math.ceil(brush.size * 1.25);
          store.set({
            brush: { ...brush, size: Math.max(1, Math.min(size, largestBrush(current.picture))) },
          });
        });
      case '{':
      case '}': {
        const hardness = Math.min(1, Math.max(0, brush.hardness + (key === '{' ? -0.1 : 0.1)));
        return this.#do(() => store.set({ brush: { ...brush, hardness } }));
      }
      case '+':
      case '=':
        return this.#do(() => zoom(1.25));
      case '-':
        return this.#do(() => zoom(0.8));
      case '0':
        return this.#do(() => store.set({ viewport: stage.fittedView(store.state) }));
      case '1':
        return this.#do(() => store.set({ viewport: centred(current.picture, stage.size, 1) }));
      case 'i':
        return this.#do(() => void this.#editing.changeMask({ kind: 'invert' }, 'invert'));
      case 'delete':
        return this.#do(() => void this.#editing.changeMask({ kind: 'clear' }, 'clear'));
      case 'c':
        return this.#do(() => void this.#editing.toggle('before'));
      default:
        return false;
    }
  }

  /** Where there is no pointer, the brush begins in the middle of the picture. */
  #showBrush(): void {
    const { document: current, cursor } = this.#app.store.state;
    if (!current || cursor) return;
    const { width, height } = current.picture;
    this.#app.store.set({ cursor: { x: width / 2, y: height / 2, keyboard: true } });
  }

  /** Painting without a pointer. */
  #onCanvas({ key, shiftKey, repeat }: KeyboardEvent): boolean {
    const { store } = this.#app;
    const { document: current, cursor, brush, drawing, tool, fill } = store.state;
    if (!current) return false;
    const { width, height } = current.picture;
    const at: Point = cursor?.keyboard ? cursor : { x: width / 2, y: height / 2 };
    const arrow = ARROWS[key];
    if (arrow) {
      const step = shiftKey ? 1 : Math.max(1, Math.round(brush.size / 3));
      const next = {
        x: Math.min(width, Math.max(0, at.x + arrow.x * step)),
        y: Math.min(height, Math.max(0, at.y + arrow.y * step)),
        keyboard: true,
      };
      store.set({
        cursor: next,
        drawing: drawing && extended(drawing, next),
        message: `Brush at ${Math.round(next.x)}, ${Math.round(next.y)} of ${width} × ${height}.`,
      });
      this.#follow(next);
      return true;
    }
    if (key !== ' ' || !cursor?.keyboard) return false;
    if (!repeat && !drawing && !fill && tool !== 'pan' && tool !== 'frame')
      store.set({ drawing: begun(store.state, cursor) });
    return true;
  }

  /** Moves the picture so that the brush stays in sight. */
  #follow(at: Point): void {
    const { store, stage } = this.#app;
    const { viewport } = store.state;
    const { x, y } = toStage(viewport, at);
    const { width, height } = stage.size;
    const dx = Math.min(0, width - 20 - x) + Math.max(0, 20 - x);
    const dy = Math.min(0, height - 20 - y) + Math.max(0, 20 - y);
    if (dx || dy)
      store.set({ viewport: { ...viewport, x: viewport.x + dx, y: viewport.y + dy, fitted: false } });
  }

  #do(action: () => void): true {
    action();
    return true;
  }
}

export const largestBrush = ({ width, height }: { width: number; height: number }) =>
  Math.max(2, Math.round(Math.min(width, height) / 2));

function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement)
    return !['range', 'radio', 'checkbox', 'button'].includes(target.type);
  return target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}
