import { randomId } from '../service/fill.ts';
import { askFor } from '../service/http.ts';
import { sentenceFor } from '../service/sentences.ts';
import { defaultBrush, defaultFeather, hasUnsavedWork } from '../state/select.ts';
import { NO_SETTINGS } from '../state/store.ts';
import type { Document, Settings } from '../state/types.ts';
import { fitted } from '../view/viewport.ts';
import { type App, askUser, complain, settle } from './app.ts';
import type { Editing } from './editing.ts';
import type { Filling } from './filling.ts';
import { checkLimits } from './limits.ts';

/** Opens pictures: files, examples, and faces that the model generates. */
export class Opening {
  readonly #app: App;
  readonly #editing: Editing;
  readonly #filling: Filling;
  /** Resolves when the work of the last visit is back, which must not be replaced unseen. */
  readonly #restored: Promise<void>;
  /** A face that is being generated, and what ends that. */
  #generated: Promise<void> | undefined;
  #stop = new AbortController();
  /** Counts what was chosen to be opened: the last choice is shown, whichever is decoded first. */
  #choices = 0;

  constructor(app: App, editing: Editing, filling: Filling, restored: Promise<void>) {
    this.#app = app;
    this.#editing = editing;
    this.#filling = filling;
    this.#restored = restored;
  }

  /** Opens a picture that a person chose; asks first if that hides work. */
  async open(file: Blob, name: string): Promise<boolean> {
    if (!(await this.#mayReplace())) return false;
    return this.#opening('Opening the picture…', (current) => this.#show(file, name, current));
  }

  /** Does the work of the latest choice, with `opening` set meanwhile. `current` turns false when another is made. */
  async #opening<T>(message: string, work: (current: () => boolean) => Promise<T>): Promise<T> {
    const { store } = this.#app;
    this.#choices += 1;
    const choice = this.#choices;
    const current = () => choice === this.#choices;
    store.set({ opening: true, message });
    try {
      return await work(current);
    } finally {
      if (current()) store.set({ opening: false });
    }
  }

  async #mayReplace(): Promise<boolean> {
    const { store } = this.#app;
    await this.#restored;
    if (!hasUnsavedWork(store.state)) return true;
    const sure = await askUser(
      this.#app,
      store.state.fill
        ? 'A fill is in progress. Cancel it and open another picture?'
        : 'You have work that is not downloaded. Open another picture? Undo brings this one back, until you reload the page.',
      'Open the other picture',
      'Stay here',
    );
    if (sure) await this.#filling.cancel();
    return sure;
  }

  /** adopt: whether to take over the settings that the picture was made with. */
  async #show(file: Blob, name: string, current: () => boolean, adopt = true): Promise<boolean> {
    const { store, studio, stage } = this.#app;
    if (!current()) return false;
    settle(this.#app, 'open', 'fill', 'mask');
    store.set({ message: 'Opening the picture…' });
    try {
      const { levels, mask, parameters, ...opened } = await studio.openPicture(file);
      const drop = (): false => {
        for (const level of levels) level.close();
        return false;
      };
      if (!current()) return drop();
      const { limits } = store.state;
      const refusal = limits && checkLimits({ ...opened, bytes: file.size }, limits);
      if (refusal) {
        const { transparent } = opened;
        complain(this.#app, 'open', refusal, { picture: { file, name, transparent }, limits });
        store.set({ message: '' });
        return drop();
      }
      // The result of a fill that was started meanwhile would replace this picture.
      if (store.state.fill && !((await this.#mayReplace()) && current())) return drop();
      const picture = { id: randomId(), name, ...opened };
      stage.bitmaps.put(picture.id, levels);
      this.#begin({ picture, mask });
      if (parameters && adopt) this.#adopt(parameters);
      return true;
    } catch (error) {
      if (current()) this.#failed(error);
      return false;
    }
  }

  /** Errors of the browser have names; others are sentences. */
  #failed(error: unknown): void {
    const { name, message } = error as Error;
    const undecodable =
      'Your browser cannot open this file as a picture. Choose a PNG, JPEG, WebP, AVIF or GIF file.';
    complain(this.#app, 'open', name === 'Error' ? message : undecodable);
    this.#app.store.set({ message: '' });
  }

  #begin(opened: Document): void {
    const { store, stage } = this.#app;
    const { picture, mask } = opened;
    this.#stop.abort(); // a face that is still being generated was chosen before this picture
    this.#editing.push('open a picture', { ...opened, untouched: true });
    store.set({
      viewport: fitted(picture, stage.size),
      brush: { ...store.state.brush, size: defaultBrush(picture) },
      show: { uncertainty: false, windows: false, before: false },
      cursor: undefined,
      message:
        mask.fraction > 0
          ? 'The transparent part is the hole. Fill it, or paint over more.'
          : 'Paint over what you want replaced.',
    });
    stage.schedule();
  }

  /** Takes over the seed and the settings of a picture that the service made. */
  #adopt(parameters: Record<string, unknown>): void {
    const { store } = this.#app;
    const settings: Settings = { ...NO_SETTINGS };
    for (const name of Object.keys(NO_SETTINGS) as (keyof Settings)[]) {
      const value = parameters[name];
      if (value !== undefined && value !== null && value !== 'auto') settings[name] = String(value);
    }
    // At least as many results as the picture has before it, so that it is among them again.
    const { candidate = 0 } = parameters;
    settings.num_images = String(
      Math.max(Number(store.state.settings.num_images) || 1, Number(candidate) + 1),
    );
    const { picture } = store.state.document ?? {};
    settle(this.#app, ...(Object.keys(NO_SETTINGS) as (keyof Settings)[]));
    if (picture && settings.mask_blur === String(defaultFeather(picture))) settings.mask_blur = ''; // not for the next picture
    store.set({
      settings,
      message: `This picture was made with seed ${settings.seed}; its settings are set again. Paint over what you want replaced.`,
    });
  }

  /** Opens a smaller copy of the picture that was too large. */
  async shrink(): Promise<void> {
    const { store, studio } = this.#app;
    if (!store.state.tooLarge) return;
    const { picture, limits } = store.state.tooLarge;
    const { file, transparent } = picture;
    const name = picture.name.replace(/(-smaller)?(\.\w+)?$/, transparent ? '-smaller.png' : '-smaller.jpg');
    await this.#opening('Making a smaller copy…', async (current) => {
      try {
        await this.#show(await studio.shrink(file, limits, transparent), name, current);
      } catch (error) {
        if (current()) this.#failed(error);
      }
    });
  }

  /** Opens an example with a hole, and fills it. */
  async example(picture: string, mask: string): Promise<void> {
    if (!(await this.#mayReplace())) return;
    const name = picture.split('/').at(-1) ?? picture;
    const isOpen = await this.#opening('Opening the picture…', async (current) => {
      try {
        const [file, hole] = await Promise.all([fetchFile(picture), fetchFile(mask)]);
        if (!(await this.#show(file, name, current))) return false;
        await this.#editing.openMask(hole, { untouched: true });
      } catch {
        if (!current()) return false;
        this.#app.store.set({ message: '' });
        complain(this.#app, 'open', 'The example could not be loaded. Reload the page and try again.');
        return false;
      }
      return current();
    });
    if (isOpen) await this.#filling.start({ isExample: true });
  }

  /** Lets the model draw a picture from noise alone; one at a time. */
  generate(): Promise<void> {
    const { store } = this.#app;
    this.#generated ??= this.#generate().finally(() => {
      this.#generated = undefined;
      store.set({ generating: false });
    });
    return this.#generated;
  }

  cancelGenerating(): void {
    this.#stop.abort();
  }

  async #generate(): Promise<void> {
    const { store } = this.#app;
    if (!(await this.#mayReplace())) return;
    settle(this.#app, 'open', 'key');
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    store.set({ generating: true });
    const { document: before, key } = store.state;
    const face = await this.#opening('Generating a face…', async (current) => {
      try {
        const headers = { accept: 'image/png', 'content-type': 'application/json' };
        const asking = { method: 'POST', headers, key, body: '{}', signal };
        const picture = await askFor('v1/sample', asking, (response) => response.blob());
        if (!current() && store.state.opening) return; // what was chosen later is about to be shown
        const unchanged = store.state.document === before; // else there may be work that nobody was asked about
        return unchanged || (await this.#mayReplace()) ? picture : undefined;
      } catch (error) {
        const { place, text } = sentenceFor(error);
        if (!signal.aborted) complain(this.#app, place === 'key' ? 'key' : 'open', text);
        if (current()) store.set({ message: signal.aborted ? 'Cancelled.' : '' });
      }
    });
    if (!face) return;
    await this.#opening('Opening the picture…', (current) =>
      this.#show(face, 'generated.png', current, false),
    );
  }
}

async function fetchFile(path: string): Promise<Blob> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(path);
  return response.blob();
}
