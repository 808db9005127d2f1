import { type AcceptedJob, fill, randomId } from '../service/fill.ts';
import { sentenceFor } from '../service/sentences.ts';
import { pushed } from '../state/history.ts';
import { requestFields } from '../state/select.ts';
import type { ActiveFill, Answer, Candidate, Document, Frame, Run } from '../state/types.ts';
import { type App, complain } from './app.ts';
import type { Editing } from './editing.ts';

/** Results that are kept, and their bytes. */
const MAX_RUNS = 12;
const MAX_BYTES = 400e6;
const MAX_FRAMES = 64;

/** Starts, follows and cancels fills. */
export class Filling {
  readonly #app: App;
  readonly #editing: Editing;
  #stop: AbortController | undefined;
  #finished: Promise<void> = Promise.resolve();

  constructor(app: App, editing: Editing) {
    this.#app = app;
    this.#editing = editing;
  }

  async start({ isExample = false } = {}): Promise<void> {
    const { store } = this.#app;
    if (store.state.fill) return;
    await this.#editing.extend();
    await this.#editing.settled;
    const { document: current, frame } = store.state;
    const refused = Object.values(frame).some((side) => side > 0); // the extended picture would be too large
    if (!current || store.state.fill || refused) return;
    if (current.mask.fraction === 0)
      return complain(this.#app, 'fill', 'There is no hole yet. Paint over what you want replaced.');
    this.#finished = this.#run(current, { isExample });
    await this.#finished;
  }

  /** Follows a job that was accepted before the page was reloaded. */
  async resume(current: Document, job: AcceptedJob, isExample: boolean): Promise<void> {
    this.#finished = this.#run(current, { job, isExample });
    await this.#finished;
  }

  async cancel(): Promise<void> {
    this.#stop?.abort(new DOMException('cancelled', 'AbortError'));
    await this.#finished;
  }

  async #run(before: Document, { job, isExample }: { job?: AcceptedJob; isExample: boolean }): Promise<void> {
    const { store, studio } = this.#app;
    const { picture, mask, untouched } = before;
    const id = randomId();
    const stop = new AbortController();
    this.#stop = stop;
    store.set({
      errors: {},
      choosing: false, // the fill is on the picture
      document: { picture, mask, last: before.shown ?? before.last, untouched },
      fill: {
        id,
        picture,
        mask,
        before,
        isExample,
        phase: { name: 'preparing' },
        frames: [],
        visits: [],
        job,
      },
      show: { ...store.state.show, before: false },
    });
    const change = (part: Partial<ActiveFill>) => {
      const { fill: active } = store.state;
      if (active?.id === id) store.set({ fill: { ...active, ...part } });
    };
    try {
      const request = {
        fields: requestFields(store.state),
        image: picture.file,
        mask: await studio.maskFile(mask.version),
        key: store.state.key,
      };
      const reports = {
        phase: (phase: ActiveFill['phase']) => change({ phase }),
        frame: (frame: Frame) => change({ frames: thinned([...(store.state.fill?.frames ?? []), frame]) }),
        visited: (timestep: number) => {
          const { visits = [] } = store.state.fill ?? {};
          if (!visits.includes(timestep)) change({ visits: [...visits, timestep] });
        },
        accepted: (accepted: AcceptedJob) => change({ job: accepted }),
      };
      const { answer, files } = await fill(request, reports, stop.signal, job);
      const candidates: Candidate[] = [];
      for (const file of files) candidates.push(await this.#candidate(file, isExample)); // decoded, each takes much memory
      stop.signal.throwIfAborted();
      const { frames = [], visits = [], job: done } = store.state.fill ?? {};
      this.#show(before, {
        id,
        picture,
        mask,
        answer,
        candidates,
        frames,
        visits,
        fields: done?.fields ?? {},
      });
    } catch (error) {
      store.set({ document: before, fill: undefined, message: stop.signal.aborted ? 'Cancelled.' : '' });
      if (stop.signal.aborted) return;
      const { limits, settings } = store.state;
      const { place, text, offersSmaller } = sentenceFor(error, settings);
      // Perhaps a proxy refused it, whose limit the page does not know.
      const half = limits && {
        ...limits,
        max_upload_bytes: Math.min(limits.max_upload_bytes, picture.file.size / 2),
      };
      complain(this.#app, place, text, offersSmaller && half ? { picture, limits: half } : undefined);
    }
  }

  async #candidate(file: Blob, saved: boolean): Promise<Candidate> {
    const small = await this.#app.studio.thumbnail(file);
    return { file, small, thumbnail: URL.createObjectURL(small), saved };
  }

  #show(before: Document, run: Run): void {
    const { store } = this.#app;
    const { state } = store;
    const shown = { picture: run.picture, mask: run.mask, shown: { run: run.id, candidate: 0 } };
    store.set({
      ...pushed({ ...state, document: before }, 'fill', shown),
      runs: bounded([run, ...state.runs]),
      fill: undefined,
      message: summary(run.answer, run.candidates.length),
    });
  }
}

function summary({ model, seed, sampler, steps, timings_ms }: Answer, count: number): string {
  const seconds = Object.values(timings_ms).reduce((a, b) => a + b, 0) / 1000;
  const what = count === 1 ? 'Filled' : `Filled ${count} times`;
  return `${what} in ${seconds.toFixed(1)} s: ${model}, ${sampler}, ${steps} steps, seed ${seed}.`;
}

/** At most MAX_FRAMES, spread over the whole run. */
function thinned(frames: Frame[]): Frame[] {
  if (frames.length <= MAX_FRAMES) return frames;
  return frames.filter((_, i) => i % 2 === 0 || i === frames.length - 1);
}

/** The newest runs that are few and small enough. The address of a thumbnail that is dropped is given back. */
function bounded(runs: Run[]): Run[] {
  let bytes = 0;
  const kept = runs.filter(({ candidates }, i) => {
    for (const { file } of candidates) bytes += file.size;
    return i === 0 || (i < MAX_RUNS && bytes <= MAX_BYTES);
  });
  for (const { candidates } of runs.slice(kept.length))
    for (const { thumbnail } of candidates) URL.revokeObjectURL(thumbnail);
  return kept;
}
