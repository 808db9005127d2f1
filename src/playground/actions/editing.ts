import { randomId } from '../service/fill.ts';
import { pushed, redone, undone } from '../state/history.ts';
import { currentRun, shownRun } from '../state/select.ts';
import { NO_FRAME } from '../state/store.ts';
import type { Document, MaskOperation, MaskRef, Shape } from '../state/types.ts';
import { fitted } from '../view/viewport.ts';
import { type App, complain, settle } from './app.ts';
import { checkLimits } from './limits.ts';

/** Changes of the mask and the picture. They happen one after the other: each begins with the mask that the last one left. */
export class Editing {
  readonly #app: App;
  #last: Promise<unknown> = Promise.resolve();

  constructor(app: App) {
    this.#app = app;
  }

  /** Resolves when every change so far has been made. */
  get settled(): Promise<unknown> {
    return this.#last;
  }

  get #busy(): boolean {
    return this.#app.store.state.fill !== undefined;
  }

  #enqueue<T>(change: () => Promise<T>): Promise<T | undefined> {
    const next = this.#last.then(() => (this.#busy ? undefined : change()));
    this.#last = next.catch(() => {});
    return next;
  }

  push(label: string, document: Document): void {
    const { store } = this.#app;
    store.set(pushed(store.state, label, document));
  }

  /** False once another picture was opened: a change of this one that ends only then must not bring it back. */
  #isOpen({ picture }: Document): boolean {
    return this.#app.store.state.document?.picture === picture;
  }

  /** Adds a drawn shape to the mask. */
  commit(shape: Shape, label: string): Promise<void> {
    return this.changeMask({ kind: 'draw', shape }, label);
  }

  async changeMask(operation: MaskOperation, label: string): Promise<void> {
    const { store, studio } = this.#app;
    await this.#enqueue(async () => {
      const { document: current } = store.state;
      if (!current) return;
      const mask = await studio.changeMask(current.mask.version, operation);
      this.#setMask(current, mask, label);
    });
  }

  #setMask(current: Document, mask: MaskRef, label: string): void {
    if (!this.#isOpen(current)) return;
    settle(this.#app, 'open', 'fill', 'mask');
    this.push(label, { picture: current.picture, mask });
    this.#app.store.set({ message: describeHole(mask) });
  }

  /** The hole of the last fill again. */
  reuse(): void {
    const { state } = this.#app.store;
    const { document: current } = state;
    const run = state.runs.find(
      ({ picture }) => picture.width === current?.picture.width && picture.height === current.picture.height,
    );
    if (!current || this.#busy) return;
    if (run) this.#setMask(current, run.mask, 'last hole');
    else complain(this.#app, 'mask', 'There is no earlier fill of a picture of this size.');
  }

  async openMask(file: Blob): Promise<void> {
    const { store, studio } = this.#app;
    await this.#enqueue(async () => {
      const { document: current } = store.state;
      if (!current) return;
      try {
        this.#setMask(current, await studio.openMask(file, current.picture), 'open mask');
      } catch (error) {
        const { name, message } = error as Error;
        const text = name === 'Error' ? message : 'Your browser cannot open this file as a picture.';
        complain(this.#app, 'mask', text);
      }
    });
  }

  undo(): void {
    this.#move(undone, 'Undone');
  }

  redo(): void {
    this.#move(redone, 'Redone');
  }

  #move(by: typeof undone, verb: string): void {
    void this.#enqueue(async () => {
      const { store, stage } = this.#app;
      const { state } = store;
      const change = by(state);
      if (!change) return;
      const label = (by === undone ? state.past : state.future).at(-1)?.label ?? '';
      const { document: next } = change;
      const picture = next?.picture;
      const resized = picture && picture !== state.document?.picture;
      const viewport = resized ? fitted(picture, stage.size) : state.viewport;
      const isDropped = next?.shown && !shownRun({ ...state, document: next });
      const document = isDropped ? { picture: next.picture, mask: next.mask } : next;
      const reason = isDropped ? ' The result at this point is no longer kept; its hole is shown.' : '';
      const message = `${verb}: ${label}.${reason}`;
      store.set({ ...change, document, viewport, errors: {}, drawing: undefined, message });
    });
  }

  /** Shows a candidate, with the picture and the hole that it was made from. */
  choose(run: string, candidate: number): void {
    const { store } = this.#app;
    const { picture, mask } = store.state.runs.find(({ id }) => id === run) ?? {};
    const { document: current } = store.state;
    if (this.#busy || !picture || !mask) return;
    if (current?.shown?.run === run && current.shown.candidate === candidate) return;
    this.push('choose a variation', { picture, mask, shown: { run, candidate } });
    store.set({ message: `Variation ${candidate + 1} is shown.` });
  }

  /** Makes the candidate on display the picture to fill. */
  async keep(): Promise<void> {
    const { store, studio } = this.#app;
    const run = shownRun(store.state);
    const { shown, picture } = store.state.document ?? {};
    if (!run || !shown || !picture || this.#busy) return;
    const { file } = run.candidates[shown.candidate];
    const { limits } = store.state;
    const tooLarge = limits && checkLimits({ ...picture, bytes: file.size }, limits);
    if (tooLarge) return complain(this.#app, 'fill', tooLarge);
    const mask = await studio.emptyMask(picture.width, picture.height);
    const id = randomId();
    const next = {
      ...picture,
      id,
      file,
      name: `${stem(picture.name)}-filled.png`,
      transparent: picture.transparent,
    };
    this.push('continue from a result', { picture: next, mask });
    store.set({ message: 'This is the picture now. Paint over what you want replaced next.' });
  }

  /** Applies the frame: the picture grows by it, and the new border is hole. */
  async extend(): Promise<void> {
    const { store, studio, stage } = this.#app;
    const { frame } = store.state;
    if (Object.values(frame).every((side) => side <= 0)) return;
    await this.#enqueue(async () => {
      const { document: current, limits } = store.state;
      if (!current) return;
      const by = { ...frame };
      const size = {
        width: current.picture.width + by.left + by.right,
        height: current.picture.height + by.top + by.bottom,
      };
      const tooLarge = limits && checkLimits(size, limits);
      if (tooLarge) return complain(this.#app, 'fill', tooLarge);
      const { file, mask } = await studio.extend(current.picture, current.mask, by);
      if (!this.#isOpen(current)) return;
      const tooMuch = limits && checkLimits({ ...size, bytes: file.size }, limits);
      if (tooMuch) return complain(this.#app, 'fill', tooMuch); // now, rather than when it is filled
      const picture = {
        ...current.picture,
        ...size,
        id: randomId(),
        file,
        name: `${stem(current.picture.name)}-extended.png`,
        transparent: true,
      };
      this.push('extend', { picture, mask });
      store.set({
        frame: NO_FRAME,
        viewport: fitted(picture, stage.size),
        message: `The picture is ${size.width} × ${size.height} px now. Its new border will be filled.`,
      });
    });
  }

  /** The hole of the run on display, to look at or to change. */
  showHole(): void {
    const { document: current } = this.#app.store.state;
    const run = currentRun(this.#app.store.state);
    if (current?.shown && run) this.push('show the hole', { picture: current.picture, mask: run.mask });
  }
}

function describeHole({ fraction }: MaskRef): string {
  if (fraction === 0) return 'There is no hole.';
  const percent = 100 * fraction;
  return `The hole covers ${percent < 1 ? 'less than 1' : Math.round(percent)} % of the picture.`;
}

const stem = (name: string) => name.replace(/(-filled|-extended)*\.\w+$/, '');
