import { type Schedule, scheduleFrom } from '../../diffusion/schedule.ts';
import type { App } from '../actions/app.ts';
import type { Opening } from '../actions/opening.ts';
import { currentRun, defaultModel, shownRun } from '../state/select.ts';
import type { ModelInfo, State } from '../state/types.ts';
import { byId, setText } from '../view/dom.ts';
import { Curve } from './curve.ts';
import { createStrip, stills, visited } from './filmstrip.ts';
import { createLesson, howReversed } from './markup.ts';
import { type Noising, noising, paintNoise, paintNoised, paintSignal, SIDE } from './noising.ts';

const EXAMPLE = 'playground/examples/face-1.png';
const PLAY_MS = 40;

/** The tab that teaches diffusion. All its parts show the same timestep. */
export class Lesson {
  readonly #app: App;
  readonly #curve: Curve;
  #schedule: Schedule | undefined;
  #model: ModelInfo | undefined;
  /** The picture that is noised, and what it was made from. */
  #noising: Noising | undefined;
  #source = '';
  #strip: unknown;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(app: App, opening: Opening) {
    this.#app = app;
    this.#curve = new Curve((t) => this.#set({ t, playing: false }));
    byId('lesson').append(...createLesson(this.#curve.element));
    const slider = byId<HTMLInputElement>('t');
    slider.addEventListener('input', () => this.#set({ t: slider.valueAsNumber, playing: false }));
    byId('play').addEventListener('click', () => this.#set({ playing: !app.store.state.lesson.playing }));
    byId('new-noise').addEventListener('click', () =>
      this.#set({ seed: crypto.getRandomValues(new Uint32Array(1))[0] }),
    );
    byId('fill-example').addEventListener('click', () => {
      void opening.example(EXAMPLE, EXAMPLE.replace('.png', '-mask.png'));
    });
    app.store.onChange((state, before) => {
      if (state.tab === 'lesson') this.#render(state);
      else if (before.tab === 'lesson' && state.lesson.playing) this.#set({ playing: false });
    });
  }

  #set(change: Partial<State['lesson']>): void {
    const { store } = this.#app;
    store.set({ lesson: { ...store.state.lesson, ...change } });
  }

  #render(state: State): void {
    const run = currentRun(state) ?? state.runs[0];
    const used = state.models.find(({ ref }) => ref === run?.answer.model);
    const model = used ?? defaultModel(state);
    this.#play(state.lesson.playing);
    const locked = 'This service needs an API key. Enter it in the tab “Fill”.';
    const waiting = state.service === 'locked' ? locked : 'Waiting for the service…';
    setText(byId('lesson-waiting'), model ? '' : waiting);
    if (!model) return;
    if (model !== this.#model || run !== this.#strip) {
      this.#model = model;
      this.#schedule = scheduleFrom(model.card.schedule);
      byId<HTMLInputElement>('t').max = String(this.#schedule.T - 1);
      this.#curve.draw(this.#schedule, visited(run, model));
      setText(byId('how-reversed'), howReversed(model.card));
      this.#renderStrip(state, model);
      this.#strip = run;
    }
    const t = Math.min(state.lesson.t, (this.#schedule?.T ?? 1) - 1);
    this.#renderTimestep(t);
    void this.#load(state);
    setText(byId('play'), state.lesson.playing ? 'Stop' : 'Play');
    byId('example-row').hidden = run !== undefined || state.fill !== undefined;
    byId('strip-waiting').hidden = !state.fill;
  }

  #renderTimestep(t: number): void {
    if (!this.#schedule) return;
    const share = this.#schedule.abar[t];
    const signal = Math.sqrt(share);
    const noise = Math.sqrt(1 - share);
    const slider = byId<HTMLInputElement>('t');
    slider.value = String(t);
    slider.ariaValueText = `t ${t}, ${Math.round(100 * signal)} % signal`;
    setText(byId('t-value'), `t = ${t}`);
    setText(byId('signal-value'), signal.toFixed(2));
    setText(byId('noise-value'), noise.toFixed(2));
    setText(byId('abar-value'), `ᾱ = ${share.toPrecision(3)}. ${compare(share / (1 - share))}`);
    this.#curve.show(t);
    if (this.#noising) paintNoised(byId<HTMLCanvasElement>('xt'), this.#schedule, t, this.#noising);
  }

  /** Reads the picture that is noised: the one on display, else an example. */
  async #load(state: State): Promise<void> {
    const { document: current, lesson } = state;
    const run = shownRun(state);
    const file = run ? run.candidates[current?.shown?.candidate ?? 0].file : current?.picture.file;
    const source = `${run ? `${run.id}/${current?.shown?.candidate}` : (current?.picture.id ?? '')} ${lesson.seed}`;
    if (source === this.#source) return;
    this.#source = source;
    try {
      const blob = file ?? (await (await fetch(EXAMPLE)).blob());
      const square = await this.#app.studio.square(blob, SIDE);
      if (source !== this.#source) return;
      this.#noising = noising(square, lesson.seed);
      paintSignal(byId<HTMLCanvasElement>('x0'), this.#noising);
      paintNoise(byId<HTMLCanvasElement>('epsilon'), this.#noising);
      this.#renderTimestep(this.#app.store.state.lesson.t);
    } catch {
      this.#source = ''; // the next change of the state tries again
    }
  }

  #renderStrip(state: State, model: ModelInfo): void {
    const shown = stills(state, model);
    const strip = createStrip(shown, (t) => this.#set({ t, playing: false }));
    byId('strip').replaceChildren(strip);
    byId('strip-legend').hidden = shown.length === 0;
    const noisy = shown.some((still) => still.noisy);
    setText(
      byId('strip-legend'),
      noisy
        ? 'Above: x_t, with the noise that is left. Below: the network’s estimate of the clean picture. Click one to see that t in parts 1 and 2.'
        : 'The network’s estimate of the clean picture at each step. Click one to see that t in parts 1 and 2.',
    );
  }

  #play(playing: boolean): void {
    if (!playing) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else if (this.#timer === undefined) {
      this.#timer = setInterval(() => {
        const last = (this.#schedule?.T ?? 1) - 1;
        const { t } = this.#app.store.state.lesson;
        this.#set({ t: t >= last ? 0 : Math.min(last, t + Math.ceil(last / 100)) });
      }, PLAY_MS);
    }
  }
}

function compare(ratio: number): string {
  const [stronger, weaker] = ratio >= 1 ? ['signal', 'noise'] : ['noise', 'signal'];
  const times = Number(Math.max(ratio, 1 / ratio).toPrecision(2)).toLocaleString('en');
  return `The ${stronger} has ${times} times the power of the ${weaker}.`;
}
