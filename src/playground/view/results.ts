import type { App } from '../actions/app.ts';
import { type Editing, stem } from '../actions/editing.ts';
import { currentResult, shownRun } from '../state/select.ts';
import type { Choice, Run, State } from '../state/types.ts';
import { byId, create, saveFile } from './dom.ts';

/** The results: their history, and what can be done with the one on display. */
export class Results {
  readonly #app: App;
  readonly #editing: Editing;
  #rendered: Run[] = [];
  #address: { file: Blob; href: string } | undefined;

  constructor(app: App, editing: Editing) {
    this.#app = app;
    this.#editing = editing;
    const { store } = app;
    const views = { compare: 'before', uncertainty: 'uncertainty', windows: 'windows' } as const;
    for (const [id, view] of Object.entries(views))
      byId(id).addEventListener('click', () => void editing.toggle(view));
    byId<HTMLInputElement>('divider-range').addEventListener('input', ({ target }) => {
      store.set({ divider: Number((target as HTMLInputElement).value) / 100 });
    });
    this.#dragDivider();
    byId('keep').addEventListener('click', () => {
      void editing.keep();
      app.stage.surface.focus(); // to paint on
    });
    byId('download').addEventListener('click', () => this.#markSaved(this.#downloaded()));
    byId('copy').addEventListener('click', () => void this.#copy());
    store.onChange((state, before) => this.#render(state, before));
  }

  #dragDivider(): void {
    const divider = byId('divider');
    divider.addEventListener('pointerdown', (event) => {
      event.preventDefault(); // the focus stays where it is
      divider.setPointerCapture(event.pointerId);
    });
    divider.addEventListener('pointermove', (event) => {
      if (!divider.hasPointerCapture(event.pointerId)) return;
      const { store, stage } = this.#app;
      const { viewport, document: current } = store.state;
      if (!current) return;
      const x = event.clientX - stage.surface.getBoundingClientRect().left - viewport.x;
      const share = x / (viewport.scale * current.picture.width);
      store.set({ divider: Math.min(1, Math.max(0, share)) });
    });
  }

  #shown() {
    const result = currentResult(this.#app.store.state);
    if (!result) return undefined;
    const { run, candidate } = result;
    return { run, candidate: run.candidates[candidate] };
  }

  /** The result that the download holds: the current one, or the one that the picture is. */
  #downloaded(): Choice | undefined {
    const { state } = this.#app.store;
    const result = currentResult(state);
    return result ? { run: result.run.id, candidate: result.candidate } : state.document?.picture.from;
  }

  #markSaved(choice: Choice | undefined): void {
    const { store } = this.#app;
    const runs = store.state.runs.map((run) => {
      if (run.id !== choice?.run) return run;
      const saved = { ...run.candidates[choice.candidate], saved: true };
      return { ...run, candidates: run.candidates.with(choice.candidate, saved) };
    });
    store.set({ runs });
  }

  async #copy(): Promise<void> {
    const shown = this.#shown();
    if (!shown) return;
    const { store } = this.#app;
    const choice = this.#downloaded();
    try {
      await navigator.clipboard.write([new ClipboardItem({ 'image/png': shown.candidate.file })]);
      this.#markSaved(choice);
      store.set({ message: 'Copied. Paste it wherever you need it.' });
    } catch {
      saveFile(shown.candidate.file, this.#name());
      store.set({ message: 'This browser does not let the page copy pictures, so it was downloaded.' });
    }
  }

  #name(): string {
    return `${stem(this.#app.store.state.document?.picture.name ?? 'picture')}-filled.png`;
  }

  #render(state: State, before: State): void {
    byId('results').hidden = state.runs.length === 0;
    if (state.runs !== this.#rendered) {
      this.#rendered = state.runs;
      this.#renderRuns(state.runs);
    }
    const shown = this.#shown();
    const isShown = shownRun(state) !== undefined;
    for (const button of byId('runs').querySelectorAll('button')) {
      const { run, candidate } = button.dataset;
      const { shown: on } = state.document ?? {};
      button.ariaPressed = String(on?.run === run && String(on?.candidate) === candidate);
    }
    const { show, divider } = state;
    const pressed = { compare: show.before, uncertainty: show.uncertainty, windows: show.windows };
    for (const [id, on] of Object.entries(pressed)) byId(id).ariaPressed = String(on && isShown);
    byId('uncertainty').hidden = !shown?.run.answer.uncertainty;
    byId('windows').hidden = !shown?.run.answer.box && !shown?.run.answer.plan;
    byId('divider-row').hidden = !(show.before && isShown);
    byId<HTMLInputElement>('divider-range').value = String(Math.round(100 * divider));
    const framing = state.tool === 'frame'; // its handles lie there
    this.#renderDivider(state, show.before && isShown && !state.fill && !framing);
    for (const id of ['compare', 'keep', 'copy']) byId(id).hidden = !shown;
    const { picture } = state.document ?? {};
    const file = shown?.candidate.file ?? picture?.file; // the picture may be a result that was continued from
    if (file && file !== this.#address?.file) {
      if (this.#address) URL.revokeObjectURL(this.#address.href);
      this.#address = { file, href: URL.createObjectURL(file) };
    }
    const link = byId<HTMLAnchorElement>('download');
    if (this.#address) link.href = this.#address.href;
    link.download = shown || !picture ? this.#name() : picture.name;
    if (before.fill && !state.fill && shown && isShown && document.activeElement === document.body)
      byId('runs').querySelector<HTMLElement>('[aria-pressed=true]')?.focus();
  }

  #renderRuns(runs: readonly Run[]): void {
    const groups = runs.map((run) => {
      const { seed, model, steps, sampler } = run.answer;
      const buttons = run.candidates.map(({ thumbnail }, i) => {
        const image = create('img', { src: thumbnail, alt: `Result ${i + 1}, seed ${seed}` });
        const button = create('button', { type: 'button' }, image);
        Object.assign(button.dataset, { run: run.id, candidate: String(i) });
        button.addEventListener('click', () => void this.#editing.choose(run.id, i));
        return button;
      });
      const title = `${model}, ${sampler}, ${steps} steps`;
      const heading = create('p', { className: 'hint', title }, `Seed ${seed}`);
      return create(
        'div',
        { className: 'run' },
        heading,
        create('div', { className: 'thumbnails' }, ...buttons),
      );
    });
    byId('runs').replaceChildren(...groups);
  }

  #renderDivider({ document: current, viewport, divider }: State, on: boolean): void {
    const line = byId('divider');
    line.hidden = !on;
    if (!on || !current) return;
    const { width, height } = current.picture;
    const { size } = this.#app.stage;
    const top = Math.max(0, viewport.y);
    line.style.transform = `translate(${viewport.x + divider * width * viewport.scale - 16}px, ${top}px)`;
    line.style.height = `${Math.min(size.height, viewport.y + height * viewport.scale) - top}px`;
  }
}
