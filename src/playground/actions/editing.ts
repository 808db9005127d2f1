import { randomId } from '../service/fill.ts';
import { pushed, redone, undone } from '../state/history.ts';
import { currentResult, shownRun } from '../state/select.ts';
import { NO_FRAME } from '../state/store.ts';
import type { Document, MaskOperation, MaskRef, Shape, State } from '../state/types.ts';
import { fitted } from '../view/viewport.ts';
import { type App, complain, settle } from './app.ts';
import { checkLimits } from './limits.ts';

const EXTENDED = 'The extended picture would have';

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
    this.#change(pushed(this.#app.store.state, label, document));
  }

  /**
   * Ends the choice of another picture, which would cover the change. A frame that was not applied belongs to the picture
   * that it was drawn around.
   */
  #change(change: Partial<State>): void {
    const { store } = this.#app;
    const isOther = change.document?.picture !== store.state.document?.picture;
    store.set({ ...change, choosing: false, ...(isOther && { frame: NO_FRAME }) });
  }

  /**
   * False once another picture was opened or a fill was started: a change of this picture that ends only then must not
   * replace what is on display.
   */
  #isOpen({ picture }: Document): boolean {
    return !this.#busy && this.#app.store.state.document?.picture === picture;
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

  #setMask(current: Document, mask: MaskRef, label: string, untouched?: boolean): void {
    if (!this.#isOpen(current)) return;
    settle(this.#app, 'open', 'fill', 'mask', 'rectangle');
    this.push(label, { picture: current.picture, mask, last: current.shown ?? current.last, untouched });
    this.#app.store.set({ message: describeHole(mask) });
  }

  /** The hole of the last fill again. */
  async reuse(): Promise<void> {
    const { store } = this.#app;
    await this.#enqueue(async () => {
      const { document: current, runs } = store.state;
      const run = runs.find(
        ({ picture }) =>
          picture.width === current?.picture.width && picture.height === current.picture.height,
      );
      if (!current) return;
      if (run) this.#setMask(current, run.mask, 'last hole');
      else complain(this.#app, 'mask', 'There is no earlier fill of a picture of this size.');
    });
  }

  /** untouched: whether the hole belongs to the picture, as that of an example does. */
  async openMask(file: Blob, { untouched = false } = {}): Promise<void> {
    const { store, studio } = this.#app;
    await this.#enqueue(async () => {
      const { document: current } = store.state;
      if (!current) return;
      try {
        this.#setMask(current, await studio.openMask(file, current.picture), 'open mask', untouched);
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
      this.#change({ ...change, document, viewport, errors: {}, drawing: undefined, message });
    });
  }

  /** Shows a candidate, with the picture and the hole that it was made from. */
  async choose(run: string, candidate: number): Promise<void> {
    await this.#enqueue(async () => this.#choose(run, candidate));
  }

  #choose(run: string, candidate: number): void {
    const { store } = this.#app;
    const { picture, mask } = store.state.runs.find(({ id }) => id === run) ?? {};
    const { document: current } = store.state;
    if (!picture || !mask) return;
    store.set({ choosing: false });
    if (current?.shown?.run === run && current.shown.candidate === candidate) return;
    this.push('choose a result', { picture, mask, shown: { run, candidate } });
    store.set({ message: `Result ${candidate + 1} is shown.` });
  }

  /** Turns a view of the current result on or off. While the hole is on display, it is off. */
  async toggle(view: keyof State['show']): Promise<void> {
    const { store } = this.#app;
    await this.#enqueue(async () => {
      const { show } = store.state;
      const isOn = show[view] && shownRun(store.state) !== undefined;
      if (this.#showResult()) store.set({ show: { ...show, [view]: !isOn } });
    });
  }

  /** Shows the current result if the hole is on display. */
  #showResult() {
    const result = currentResult(this.#app.store.state);
    if (result) this.#choose(result.run.id, result.candidate);
    return result;
  }

  /** Makes the current result the picture to fill. */
  async keep(): Promise<void> {
    const { store, studio } = this.#app;
    await this.#enqueue(async () => {
      const result = this.#showResult();
      const { document: current, limits } = store.state;
      if (!result || !current) return;
      const { picture } = current;
      const { file } = result.run.candidates[result.candidate];
      const tooLarge = limits && checkLimits({ ...picture, bytes: file.size }, limits);
      if (tooLarge) return complain(this.#app, 'fill', tooLarge);
      const mask = await studio.emptyMask(picture.width, picture.height);
      if (!this.#isOpen(current)) return;
      const from = { run: result.run.id, candidate: result.candidate };
      const next = { ...picture, id: randomId(), file, name: `${stem(picture.name)}-filled.png`, from };
      this.push('continue from a result', { picture: next, mask });
      store.set({ message: 'This is the picture now. Paint over what you want replaced next.' });
    });
  }

  /** Applies the frame: the picture grows by it, and the new border is hole. */
  async extend(): Promise<void> {
    const { store, studio, stage } = this.#app;
    await this.#enqueue(async () => {
      const { document: current, limits, frame: by } = store.state;
      if (!current || Object.values(by).every((side) => side <= 0)) return;
      const size = {
        width: current.picture.width + by.left + by.right,
        height: current.picture.height + by.top + by.bottom,
      };
      const tooLarge = limits && checkLimits(size, limits, EXTENDED);
      if (tooLarge) return complain(this.#app, 'fill', tooLarge);
      const { file, mask } = await studio.extend(current.picture, current.mask, by);
      if (!this.#isOpen(current)) return;
      const tooMuch = limits && checkLimits({ ...size, bytes: file.size }, limits, EXTENDED);
      if (tooMuch) return complain(this.#app, 'fill', tooMuch); // now, rather than when it is filled
      const picture = {
        ...current.picture,
        ...size,
        id: randomId(),
        file,
        name: `${stem(current.picture.name)}-extended.png`,
        transparent: true,
        from: undefined,
      };
      this.push('extend', { picture, mask });
      store.set({
        viewport: fitted(picture, stage.size),
        message: `The picture is ${size.width} × ${size.height} px now. Its new border will be filled.`,
      });
    });
  }
}

function describeHole({ fraction }: MaskRef): string {
  if (fraction === 0) return 'There is no hole.';
  const percent = 100 * fraction;
  return `The hole covers ${percent < 1 ? 'less than 1' : Math.round(percent)} % of the picture.`;
}

/** The name of a picture's file, without what the page has added to it. */
export const stem = (name: string) => name.replace(/(-filled|-extended)*\.\w+$/, '');
