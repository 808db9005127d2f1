import type { Schedule } from '../../diffusion/schedule.ts';

const NAMESPACE = 'http://www.w3.org/2000/svg';
const WIDTH = 600;
const HEIGHT = 220;
const LEFT = 34;
const BOTTOM = 26;
const TOP = 10;

/** The schedule as a drawing: sqrt(abar) and sqrt(1 - abar) against t, with a point that can be dragged. */
export class Curve {
  readonly element = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' });
  readonly #onDrag: (t: number) => void;
  readonly #marks = svg('g', { class: 'ticks' });
  readonly #line = svg('line', { class: 'now', y1: TOP, y2: HEIGHT - BOTTOM });
  readonly #points = [
    svg('circle', { r: 7, class: 'signal point' }),
    svg('circle', { r: 7, class: 'noise point' }),
  ] as const;
  #schedule: Schedule | undefined;

  constructor(onDrag: (t: number) => void) {
    this.#onDrag = onDrag;
    this.element.setAttribute('aria-label', 'Share of signal and of noise at every timestep');
    const drag = (event: PointerEvent) => this.#drag(event);
    this.element.addEventListener('pointerdown', (event) => {
      this.element.setPointerCapture(event.pointerId);
      drag(event);
    });
    this.element.addEventListener('pointermove', (event) => {
      if (this.element.hasPointerCapture(event.pointerId)) drag(event);
    });
  }

  #drag({ clientX }: PointerEvent): void {
    if (!this.#schedule) return;
    const { left, width } = this.element.getBoundingClientRect();
    const share = (((clientX - left) / width) * WIDTH - LEFT) / (WIDTH - LEFT - 10);
    const last = this.#schedule.T - 1;
    this.#onDrag(Math.min(last, Math.max(0, Math.round(share * last))));
  }

  #x(t: number): number {
    return LEFT + (t / Math.max(1, (this.#schedule?.T ?? 2) - 1)) * (WIDTH - LEFT - 10);
  }

  /** Draws the curves, and ticks at the timesteps that the last fill visited. */
  draw(schedule: Schedule, ticks: readonly number[]): void {
    this.#schedule = schedule;
    const { T, abar } = schedule;
    const path = (value: (abar: number) => number) => {
      const points = Array.from({ length: 201 }, (_, i) => {
        const t = Math.round((i / 200) * (T - 1));
        return `${this.#x(t).toFixed(1)} ${y(value(abar[t])).toFixed(1)}`;
      });
      return `M${points.join('L')}`;
    };
    const axis = svg('path', { class: 'axis', d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - 10}` });
    const labels = [
      label(LEFT - 6, y(1) + 4, '1', 'end'),
      label(LEFT - 6, y(0) + 4, '0', 'end'),
      label(LEFT, HEIGHT - 6, '0'),
      label(WIDTH - 10, HEIGHT - 6, `t = ${T - 1}`, 'end'),
      label(this.#x(T * 0.06), y(0.8), '√ᾱ, signal', 'start', 'signal'),
      label(this.#x(T * 0.94), y(0.8), '√(1 − ᾱ), noise', 'end', 'noise'),
    ];
    const signal = svg('path', { class: 'signal', d: path(Math.sqrt) });
    const noise = svg('path', { class: 'noise', d: path((share) => Math.sqrt(1 - share)) });
    this.#marks.replaceChildren(
      ...ticks.map((t) => svg('line', { x1: this.#x(t), x2: this.#x(t), y1: y(0) - 8, y2: y(0) + 2 })),
    );
    this.element.replaceChildren(axis, ...labels, signal, noise, this.#marks, this.#line, ...this.#points);
  }

  /** Moves the points to a timestep. */
  show(t: number): void {
    if (!this.#schedule) return;
    const share = this.#schedule.abar[t];
    const x = String(this.#x(t));
    this.#line.setAttribute('x1', x);
    this.#line.setAttribute('x2', x);
    for (const [point, value] of [
      [this.#points[0], Math.sqrt(share)],
      [this.#points[1], Math.sqrt(1 - share)],
    ] as const) {
      point.setAttribute('cx', x);
      point.setAttribute('cy', String(y(value)));
    }
  }
}

const y = (value: number) => TOP + (1 - value) * (HEIGHT - TOP - BOTTOM);

function svg<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Record<string, string | number>,
) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

function label(x: number, at: number, text: string, anchor = 'start', name = '') {
  const element = svg('text', { x, y: at, 'text-anchor': anchor, class: name });
  element.textContent = text;
  return element;
}
