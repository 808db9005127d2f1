import type { App } from '../actions/app.ts';
import type { Editing } from '../actions/editing.ts';
import type { State, Tool } from '../state/types.ts';
import { byId, setText } from './dom.ts';
import { isAccepted } from './fields.ts';
import { framed } from './frame.ts';
import { largestBrush } from './keyboard.ts';
import { centred, zoomedInMiddle } from './viewport.ts';

const SIDES = ['left', 'top', 'right', 'bottom'] as const;

/** Tools and their options, undo and redo, and zoom. */
export class Toolbar {
  readonly #app: App;
  readonly #editing: Editing;

  constructor(app: App, editing: Editing) {
    this.#app = app;
    this.#editing = editing;
    this.#listenToTools();
    this.#listenToOptions();
    this.#listenToZoom();
    byId('undo').addEventListener('click', () => editing.undo());
    byId('redo').addEventListener('click', () => editing.redo());
    app.store.onChange((state) => this.#render(state));
  }

  #listenToTools(): void {
    byId('tools').addEventListener('change', ({ target }) => {
      this.#app.store.set({ tool: (target as HTMLInputElement).value as Tool });
    });
    for (const name of ['size', 'hardness'] as const) {
      byId<HTMLInputElement>(name).addEventListener('input', ({ target }) => {
        const value = Number((target as HTMLInputElement).value);
        const { brush } = this.#app.store.state;
        this.#app.store.set({ brush: { ...brush, [name]: name === 'hardness' ? value / 100 : value } });
      });
    }
  }

  #listenToOptions(): void {
    const { store, stage } = this.#app;
    const addRectangle = (erase: boolean) => {
      const inputs = ['x', 'y', 'w', 'h'].map((name) => byId<HTMLInputElement>(`rect-${name}`));
      if (!isAccepted(this.#app, 'rectangle', inputs)) return;
      const [left, top, width, height] = inputs.map(({ valueAsNumber }) => valueAsNumber);
      const box = { left, top, width, height };
      void this.#editing.commit({ kind: 'rectangle', box, erase }, erase ? 'erase rectangle' : 'rectangle');
    };
    byId('rect-add').addEventListener('click', () => addRectangle(false));
    byId('rect-cut').addEventListener('click', () => addRectangle(true));
    for (const side of SIDES) {
      byId(`frame-${side}`).addEventListener('input', () => {
        const { frame, viewport } = store.state;
        const change = framed(frame, side, byId<HTMLInputElement>(`frame-${side}`).valueAsNumber || 0);
        store.set(change);
        if (viewport.fitted) store.set({ viewport: stage.fittedView(store.state) });
      });
    }
    byId('frame-apply').addEventListener('click', () => void this.#editing.extend());
  }

  #listenToZoom(): void {
    const { store, stage } = this.#app;
    const picture = () => store.state.document?.picture ?? { width: 1, height: 1 };
    const zoom = (factor: number) =>
      store.set({ viewport: zoomedInMiddle(store.state.viewport, factor, picture(), stage.size) });
    byId('zoom-in').addEventListener('click', () => zoom(1.25));
    byId('zoom-out').addEventListener('click', () => zoom(0.8));
    byId('zoom-fit').addEventListener('click', () => store.set({ viewport: stage.fittedView(store.state) }));
    byId('zoom-full').addEventListener('click', () =>
      store.set({ viewport: centred(picture(), stage.size, 1) }),
    );
  }

  #render({ document: current, tool, brush, viewport, past, future, fill, frame }: State): void {
    byId('toolbar').hidden = byId('zoom').hidden = !current;
    if (!current) return;
    const radio = document.querySelector<HTMLInputElement>(`[name=tool][value=${tool}]`);
    if (radio) radio.checked = true;
    byId('brush-options').hidden = tool !== 'brush' && tool !== 'eraser';
    byId('rectangle-options').hidden = tool !== 'rectangle';
    byId('frame-options').hidden = tool !== 'frame';
    const size = byId<HTMLInputElement>('size');
    size.max = String(largestBrush(current.picture));
    const { width, height } = current.picture;
    for (const [name, max] of Object.entries({ x: width - 1, y: height - 1, w: width, h: height }))
      byId<HTMLInputElement>(`rect-${name}`).max = String(max);
    size.value = String(brush.size);
    byId<HTMLInputElement>('hardness').value = String(Math.round(100 * brush.hardness));
    setText(byId('size-value'), `${brush.size} px`);
    setText(byId('hardness-value'), `${Math.round(100 * brush.hardness)} %`);
    setText(
      byId('zoom-value'),
      `${viewport.scale < 0.1 ? (100 * viewport.scale).toFixed(1) : Math.round(100 * viewport.scale)} %`,
    );
    // Not `disabled`: the button that was pressed last keeps the focus.
    const undo = byId('undo');
    const redo = byId('redo');
    const canUndo = past.at(-1)?.document !== undefined && !fill;
    undo.ariaDisabled = String(!canUndo);
    redo.ariaDisabled = String(future.length === 0 || fill !== undefined);
    undo.title = canUndo ? `Undo: ${past.at(-1)?.label} (Ctrl+Z)` : 'Nothing to undo';
    redo.title = future.length > 0 ? `Redo: ${future.at(-1)?.label} (Ctrl+Shift+Z)` : 'Nothing to redo';
    for (const side of SIDES) {
      const input = byId<HTMLInputElement>(`frame-${side}`);
      if (document.activeElement !== input) input.value = String(frame[side]);
    }
  }
}
