import type { App } from '../actions/app.ts';
import type { State } from '../state/types.ts';
import { byId } from './dom.ts';
import { toStage } from './viewport.ts';

type Side = keyof State['frame'];
const OUTWARDS: Record<Side, { x: number; y: number }> = {
  left: { x: -1, y: 0 },
  top: { x: 0, y: -1 },
  right: { x: 1, y: 0 },
  bottom: { x: 0, y: 1 },
};
/** The direction of each arrow key. */
export const ARROWS: Record<string, { x: number; y: number }> = {
  ArrowLeft: OUTWARDS.left,
  ArrowRight: OUTWARDS.right,
  ArrowUp: OUTWARDS.top,
  ArrowDown: OUTWARDS.bottom,
};

/** The frame around the picture, whose sides can be dragged outwards, and the brush's outline. */
export class Frame {
  readonly #app: App;
  #dragged: { side: Side; from: { x: number; y: number }; start: number } | undefined;

  constructor(app: App) {
    this.#app = app;
    for (const handle of this.#handles) {
      const side = handle.dataset.side as Side;
      handle.addEventListener('pointerdown', (event) => {
        handle.setPointerCapture(event.pointerId);
        const from = { x: event.clientX, y: event.clientY };
        this.#dragged = { side, from, start: this.#app.store.state.frame[side] };
      });
      handle.addEventListener('pointermove', (event) => this.#drag(event));
      for (const end of ['pointerup', 'pointercancel'] as const)
        handle.addEventListener(end, () => {
          this.#dragged = undefined;
        });
      handle.addEventListener('keydown', (event) => {
        const arrow = ARROWS[event.key];
        if (!arrow) return;
        event.preventDefault();
        const out = OUTWARDS[side];
        const { frame } = this.#app.store.state;
        const by = (arrow.x * out.x + arrow.y * out.y) * (event.shiftKey ? 1 : 8);
        this.#move(side, frame[side] + by);
      });
    }
    app.store.onChange((state) => this.#render(state));
  }

  get #handles(): HTMLButtonElement[] {
    return [...byId('frame-handles').querySelectorAll('button')];
  }

  #drag({ clientX, clientY }: PointerEvent): void {
    if (!this.#dragged) return;
    const { side, from, start } = this.#dragged;
    const { scale } = this.#app.store.state.viewport;
    const out = OUTWARDS[side];
    this.#move(side, start + ((clientX - from.x) * out.x + (clientY - from.y) * out.y) / scale);
  }

  #move(side: Side, pixels: number): void {
    const { store } = this.#app;
    store.set(framed(store.state.frame, side, pixels));
  }

  #render({ tool, document: current, viewport, frame, cursor, brush, fill }: State): void {
    const canExtend = current !== undefined && !fill;
    const framing = canExtend && tool === 'frame';
    const isPending = canExtend && Object.values(frame).some((side) => side > 0);
    byId('frame-handles').hidden = !framing;
    byId('frame-line').hidden = !framing && !isPending; // the next fill extends the picture, whatever the tool is
    if (current) {
      const { width, height } = current.picture;
      const from = toStage(viewport, { x: -frame.left, y: -frame.top });
      const to = toStage(viewport, { x: width + frame.right, y: height + frame.bottom });
      place(byId('frame-line'), from.x, from.y, to.x - from.x, to.y - from.y);
      const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
      const { size } = this.#app.stage;
      for (const handle of this.#handles) {
        const side = handle.dataset.side as Side;
        const x = side === 'left' ? from.x : side === 'right' ? to.x : middle.x;
        const y = side === 'top' ? from.y : side === 'bottom' ? to.y : middle.y;
        const inside = (value: number, room: number) => Math.min(room - 14, Math.max(14, value)) - 14;
        place(handle, inside(x, size.width), inside(y, size.height), 28, 28);
      }
    }
    const outline = byId('brush-cursor');
    const painting = (tool === 'brush' || tool === 'eraser') && !fill;
    outline.hidden = !cursor || !current || (!painting && !cursor.keyboard);
    this.#app.stage.surface.dataset.tool = fill ? 'pan' : tool;
    if (!cursor || outline.hidden) return;
    const at = toStage(viewport, cursor);
    const size = Math.max(4, (painting ? brush.size : 8 / viewport.scale) * viewport.scale);
    place(outline, at.x - size / 2, at.y - size / 2, size, size);
    const inner = outline.firstElementChild as HTMLElement;
    const hard = size * brush.hardness;
    inner.hidden = !painting || brush.hardness > 0.95;
    place(inner, (size - hard) / 2 - 1, (size - hard) / 2 - 1, hard, hard);
  }
}

/** The frame after one of its sides has been moved, and a sentence about it. */
export function framed(frame: State['frame'], side: Side, pixels: number): Pick<State, 'frame' | 'message'> {
  const value = Math.max(0, Math.round(pixels));
  return {
    frame: { ...frame, [side]: value },
    message: `${value} px are added at the ${side}. Press “Extend the picture” or “Fill”.`,
  };
}

function place({ style }: HTMLElement, left: number, top: number, width: number, height: number): void {
  style.transform = `translate(${left}px, ${top}px)`;
  style.width = `${width}px`;
  style.height = `${height}px`;
}
