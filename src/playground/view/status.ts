import { inWords } from '../state/select.ts';
import type { ActiveFill, State } from '../state/types.ts';
import { byId, setText } from './dom.ts';

/** A screen reader is told of progress, and of the brush's position, at most this often, and of a wait that goes on. */
const INTERVAL_MS = 1000;
const WAIT_INTERVAL_MS = 15_000;
const TITLE = document.title;

/** The lines that say what is going on, in the panel or else among the ways to begin, and the progress bar. */
export class Status {
  #state: State | undefined;
  /** On a clock that is never set to another time. */
  #spoken = -INTERVAL_MS;
  /** When the wait that goes on was spoken last. */
  #waitSpoken: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  readonly render = (state: State): void => {
    const before = this.#state;
    this.#state = state;
    const bar = byId<HTMLProgressElement>('progress');
    bar.style.visibility = state.fill ? 'visible' : 'hidden'; // it keeps its place, so that no result moves
    const { phase } = state.fill ?? {};
    if (phase?.name === 'running') bar.value = phase.step / phase.of;
    else if (phase?.name === 'receiving') bar.value = 1;
    else bar.removeAttribute('value'); // unknown
    const title = phase?.name === 'running' ? `${percent(phase)} %, ${TITLE}` : TITLE;
    if (document.title !== title) document.title = title;
    if (before && isNews(state, before)) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#spoken = -INTERVAL_MS;
    }
    this.#speak();
  };

  #speak(): void {
    if (this.#timer !== undefined) return;
    const wait = this.#spoken + INTERVAL_MS - performance.now();
    if (wait > 0) {
      this.#speakIn(wait);
      return;
    }
    if (!this.#state) return;
    const text = sentence(this.#state);
    const { document: current, choosing, opening } = this.#state;
    setText(byId('opening'), !current || (choosing && opening) ? text : '');
    // A countdown goes on without a change of the state, also while its minutes stay the same.
    if (this.#state.fill) this.#speakIn(INTERVAL_MS);
    if (byId('status').textContent === text) return;
    this.#spoken = performance.now();
    byId('status').ariaLive = this.#isCountdown() ? 'off' : 'polite';
    setText(byId('status'), text);
  }

  #speakIn(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#speak();
    }, milliseconds);
  }

  /** Whether the change only counts the seconds of a wait that was spoken a short time ago. */
  #isCountdown(): boolean {
    if (this.#state?.fill?.phase.name !== 'waiting') this.#waitSpoken = undefined;
    else if (this.#waitSpoken === undefined || this.#spoken - this.#waitSpoken >= WAIT_INTERVAL_MS)
      this.#waitSpoken = this.#spoken;
    else return true;
    return false;
  }
}

/** Whether something was done or has ended: the sentence on display would be about what is past. */
function isNews(state: State, before: State): boolean {
  const { document: current, opening, fill } = state;
  return current !== before.document || opening !== before.opening || !fill !== !before.fill;
}

function sentence({ fill, message, service, document: current }: State): string {
  if (fill) return inProgress(fill);
  if (service === 'loading' && current)
    return `${message} The model is still loading; you can paint meanwhile.`.trim();
  return message;
}

const percent = ({ step, of }: { step: number; of: number }) => Math.floor((100 * step) / of);

function inProgress({ phase }: ActiveFill): string {
  switch (phase.name) {
    case 'preparing':
      return 'Preparing…';
    case 'sending':
      return 'Sending the picture…';
    case 'queued': {
      const begun = phase.position > 0 ? `Waiting: ${phase.position} before this one.` : 'Starting…';
      return phase.seconds ? `${begun} The fill takes about ${inWords(phase.seconds)} on the server.` : begun;
    }
    case 'receiving':
      return 'Finishing the pictures…';
    case 'running': {
      const seconds = Math.max(1, Math.ceil((phase.endsAt - Date.now()) / 1000));
      return `Drawing: ${percent(phase)} %, about ${inWords(seconds)} left.`;
    }
    case 'waiting': {
      const seconds = Math.max(1, Math.ceil((phase.until - Date.now()) / 1000));
      if (phase.reason === 'loading') return 'The model is loading. The fill starts by itself.';
      if (phase.reason === 'busy') return `The service is busy. Trying again in ${inWords(seconds)}.`;
      return `The service does not answer. Trying again in ${inWords(seconds)}.`;
    }
  }
}
