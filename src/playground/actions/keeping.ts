import type { AcceptedJob } from '../service/fill.ts';
import { defaultBrush, hasUnsavedWork } from '../state/select.ts';
import type {
  ActiveFill,
  Answer,
  Document,
  Frame,
  MaskRef,
  Picture,
  Run,
  Settings,
  State,
} from '../state/types.ts';
import { fitted } from '../view/viewport.ts';
import type { App } from './app.ts';
import { Database } from './database.ts';
import type { Filling } from './filling.ts';
import { session } from './session.ts';

const DELAY_MS = 300;

/** Work as it is stored: files by their keys, everything else as plain data. */
interface Stored {
  picture: StoredPicture;
  mask: string;
  shown?: Document['shown'];
  last?: Document['last'];
  untouched?: Document['untouched'];
  runs: {
    id: string;
    picture: StoredPicture;
    mask: string;
    answer: Answer;
    files: StoredFile[];
    frames: Frame[];
    /** Absent in records of an earlier version of the page. */
    fields?: Run['fields'];
    visits?: Run['visits'];
  }[];
  settings: Settings;
  job?: AcceptedJob;
  isExample?: ActiveFill['isExample'];
}
type StoredPicture = Omit<Picture, 'file'>;
interface StoredFile {
  file: string;
  small: string;
  saved: boolean;
}

/** Keeps picture, hole, results and settings in the browser, and follows a job that was in progress when the page was left. */
export class Keeping {
  readonly #app: App;
  readonly #filling: Filling;
  readonly #database = new Database();
  /** Masks are numbered anew by every worker. */
  readonly #boot = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saving: Promise<void> = Promise.resolve();
  /** Changes that are to be stored, and how many of them have been. Progress of a fill is not among them. */
  #changes = 0;
  #stored = 0;

  constructor(app: App, filling: Filling) {
    this.#app = app;
    this.#filling = filling;
    addEventListener('beforeunload', (event) => {
      const { state } = app.store;
      const isUnsent = state.fill && !state.fill.job; // only a job can be followed after a reload
      if (isUnsent || (this.#stored < this.#changes && hasUnsavedWork(state))) event.preventDefault();
    });
  }

  /** Brings back what was stored, and stores every change from now on, where the browser does. Resolves when the work is back. */
  async start(): Promise<void> {
    const { store } = this.#app;
    const key = session.get('key');
    if (key) store.set({ key });
    const keeps = await this.#database.open();
    if (keeps) await this.#restore().catch(() => store.set({ message: '' })); // a record of an earlier version of the page
    store.onChange((state, before) => {
      if (state.key !== before.key) session.set('key', state.key);
      const changed =
        state.document !== before.document ||
        state.runs !== before.runs ||
        state.settings !== before.settings ||
        state.fill?.job !== before.fill?.job ||
        (before.fill && !state.fill);
      if (!changed || !state.document) return;
      this.#changes++;
      if (keeps) this.#saveSoon();
    });
    if (store.state.document) this.#saveSoon(); // what came back: its masks have new numbers
  }

  #saveSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#saving = this.#saving.then(() => this.#save(this.#app.store.state)).catch(() => {});
    }, DELAY_MS);
  }

  async #save(state: State): Promise<void> {
    const { document: current, runs, fill, settings } = state;
    if (!current) return;
    const changes = this.#changes;
    const files = new Map<string, () => Promise<Blob> | Blob>();
    const mask = ({ version }: Document['mask']) => {
      const key = `mask/${this.#boot}/${version}`;
      files.set(key, () => this.#app.studio.maskFile(version));
      return key;
    };
    const picture = ({ file, ...rest }: Picture): StoredPicture => {
      files.set(`picture/${rest.id}`, () => file);
      return rest;
    };
    const stored: Stored = {
      picture: picture(current.picture),
      mask: mask(current.mask),
      shown: current.shown,
      last: current.last,
      untouched: current.untouched,
      settings,
      job: fill?.job,
      isExample: fill?.isExample,
      runs: runs.map((run) => ({
        id: run.id,
        picture: picture(run.picture),
        mask: mask(run.mask),
        answer: run.answer,
        frames: run.frames,
        fields: run.fields,
        visits: run.visits,
        files: run.candidates.map((candidate, i) => {
          const keys = { file: `run/${run.id}/${i}`, small: `run/${run.id}/${i}/small` };
          files.set(keys.file, () => candidate.file);
          files.set(keys.small, () => candidate.small);
          return { ...keys, saved: candidate.saved };
        }),
      })),
    };
    await this.#database.save(stored, files);
    this.#stored = changes;
  }

  async #restore(): Promise<void> {
    const { store, studio, stage } = this.#app;
    const found = await this.#database.load<Stored>();
    if (!found) return;
    store.set({ message: 'Restoring your work…' });
    const { record, file } = found;
    const pictures = oncePerKey<Picture>();
    const pictureOf = (stored: StoredPicture) =>
      pictures(stored.id, async () => ({ ...stored, file: await file(`picture/${stored.id}`) }));
    // One number for each, which tells whether a result was made from the hole on display.
    const masks = oncePerKey<MaskRef>();
    const maskOf = (key: string, size: StoredPicture) =>
      masks(key, async () => studio.openMask(await file(key), size));
    const runOf = async (run: Stored['runs'][number]): Promise<Run> => {
      const candidates = await Promise.all(
        run.files.map(async ({ file: key, small: smallKey, saved }) => {
          const small = await file(smallKey);
          return { file: await file(key), small, thumbnail: URL.createObjectURL(small), saved };
        }),
      );
      const { id, answer, frames, fields = {}, visits = [] } = run;
      const picture = await pictureOf(run.picture);
      const mask = await maskOf(run.mask, run.picture);
      return { id, answer, frames, fields, visits, candidates, picture, mask };
    };
    const runs: Run[] = [];
    for (const run of record.runs) {
      const whole = await runOf(run).catch(() => undefined); // earlier versions of the page named files that were not stored
      if (whole) runs.push(whole);
    }
    const picture = await pictureOf(record.picture);
    const mask = await maskOf(record.mask, record.picture);
    const shown = runs.some(({ id }) => id === record.shown?.run) ? record.shown : undefined;
    const { last, untouched } = record;
    const restored: Document = { picture, mask, shown, last, untouched };
    const all = runs.length === record.runs.length;
    store.set({
      document: restored,
      runs,
      settings: record.settings,
      viewport: fitted(picture, stage.size),
      brush: { ...store.state.brush, size: defaultBrush(picture) },
      message: all
        ? 'Your picture, hole and results are back.'
        : 'Your picture and hole are back, without the results that the browser could not store.',
    });
    if (record.job) void this.#filling.resume(restored, record.job, record.isExample ?? false);
  }
}

/** Calls `make` once for each key, and gives what it made. */
function oncePerKey<T>() {
  const made = new Map<string, Promise<T>>();
  return (key: string, make: () => Promise<T>): Promise<T> => {
    const known = made.get(key) ?? make();
    made.set(key, known);
    return known;
  };
}
