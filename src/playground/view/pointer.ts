import type { App } from '../actions/app.ts';
import type { Editing } from '../actions/editing.ts';
import type { Point, Shape, State } from '../state/types.ts';
import { panned, toPicture, zoomed } from './viewport.ts';

const NAMES = { stroke: 'stroke', rectangle: 'rectangle', lasso: 'lasso' } as const;

/** Values of `button`. A pen's button at its side is that of the context menu, which paints nothing. */
const PRIMARY = 0;
const MIDDLE = 1;
const ERASER = 5;

/** Mouse, pen and fingers on the canvas: paint, zoom and pan. One finger paints, two move the picture. */
export class Pointer {
  readonly #app: App;
  readonly #editing: Editing;
  /** Fingers, pens and buttons that are down, in CSS pixels of the stage. */
  readonly #down = new Map<number, Point>();
  /** Whether a pen is down: what else touches the glass then is the hand that holds it. */
  #pen = false;
  #mode: 'draw' | 'pan' | 'pinch' | undefined;
  /** Whether the space bar is held: the pointer pans then. */
  space = false;

  constructor(app: App, editing: Editing) {
    this.#app = app;
    this.#editing = editing;
    const { surface } = app.stage;
    surface.tabIndex = 0;
    surface.addEventListener('pointerdown', (event) => this.#press(event));
    surface.addEventListener('pointermove', (event) => this.#move(event));
    surface.addEventListener('pointerup', (event) => this.#release(event));
    surface.addEventListener('pointercancel', (event) => this.#release(event, true));
    surface.addEventListener('pointerleave', () => {
      if (!this.#app.store.state.cursor?.keyboard) this.#app.store.set({ cursor: undefined });
    });
    surface.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    surface.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  get #state(): State {
    return this.#app.store.state;
  }

  #at(event: MouseEvent): Point {
    const { left, top } = this.#app.stage.surface.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  #press(event: PointerEvent): void {
    const { tool, fill, document: current, cursor } = this.#state;
    if (!current || ![PRIMARY, MIDDLE, ERASER].includes(event.button)) return;
    event.preventDefault();
    if (this.#pen && event.pointerType === 'touch') return;
    if (event.pointerType === 'pen') {
      this.#pen = true;
      this.#down.clear(); // the hand may have been first
    }
    const { surface } = this.#app.stage;
    surface.focus({ preventScroll: true });
    surface.setPointerCapture(event.pointerId);
    this.#down.set(event.pointerId, this.#at(event));
    if (cursor?.keyboard) this.#app.store.set({ cursor: { ...cursor, keyboard: false } });
    if (this.#down.size === 2) {
      this.#app.store.set({ drawing: undefined }); // what the first finger began was meant as a gesture
      this.#mode = 'pinch';
    } else if (this.#down.size > 2) return;
    else if (this.space || event.button === MIDDLE || tool === 'pan' || tool === 'frame' || fill)
      this.#mode = 'pan';
    else {
      this.#mode = 'draw';
      const at = toPicture(this.#state.viewport, this.#at(event));
      this.#app.store.set({ drawing: begun(this.#state, at, event.button === ERASER) });
    }
  }

  #move(event: PointerEvent): void {
    const at = this.#at(event);
    const { viewport, drawing, document: current } = this.#state;
    const before = this.#down.get(event.pointerId);
    if (event.pointerType !== 'touch') {
      const position = toPicture(viewport, at);
      this.#app.store.set({ cursor: { ...position, keyboard: false } });
    }
    if (!before || !current) return;
    const others = [...this.#down].filter(([id]) => id !== event.pointerId);
    this.#down.set(event.pointerId, at);
    const { size } = this.#app.stage;
    if (this.#mode === 'pan') {
      const moved = panned(viewport, at.x - before.x, at.y - before.y, current.picture, size);
      this.#app.store.set({ viewport: moved });
    } else if (this.#mode === 'pinch' && others.length === 1) {
      const [[, other]] = others;
      const distance = (a: Point) => Math.max(1, Math.hypot(a.x - other.x, a.y - other.y));
      const middle = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
      const moved = panned(viewport, (at.x - before.x) / 2, (at.y - before.y) / 2, current.picture, size);
      const factor = distance(at) / distance(before);
      this.#app.store.set({ viewport: zoomed(moved, factor, middle, current.picture, size) });
    } else if (this.#mode === 'draw' && drawing) {
      const coalesced = event.getCoalescedEvents?.() ?? [];
      const points = (coalesced.length > 0 ? coalesced : [event]).map((each) =>
        toPicture(viewport, this.#at(each)),
      );
      this.#app.store.set({ drawing: points.reduce(extended, drawing) });
    }
  }

  #release(event: PointerEvent, cancelled = false): void {
    if (!this.#down.delete(event.pointerId)) return;
    if (this.#mode === 'draw') this.finish(cancelled);
    if (event.pointerType === 'pen') this.#pen = false;
    if (this.#down.size === 0) this.#mode = undefined;
    else if (this.#mode === 'pinch') this.#mode = 'pan'; // the finger that stays moves the picture
  }

  /** Makes what is being drawn a part of the mask. */
  finish(cancelled = false): void {
    const { drawing } = this.#state;
    if (!drawing) return;
    this.#app.store.set({ drawing: undefined });
    if (cancelled || isNothing(drawing)) return;
    const shape = normalised(drawing);
    const name = NAMES[shape.kind];
    void this.#app.stage.settle(shape, this.#editing.commit(shape, shape.erase ? `erase ${name}` : name));
  }

  #wheel(event: WheelEvent): void {
    const { viewport, document: current } = this.#state;
    if (!current) return;
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    const { size } = this.#app.stage;
    if (event.shiftKey) {
      const [dx, dy] = [-event.deltaX * unit, -event.deltaY * unit];
      this.#app.store.set({ viewport: panned(viewport, dx || dy, dx ? dy : 0, current.picture, size) });
      return;
    }
    const speed = event.ctrlKey ? 0.01 : 0.002; // a pinch on a touchpad comes as a wheel with Ctrl
    const factor = Math.exp(-event.deltaY * unit * speed);
    this.#app.store.set({ viewport: zoomed(viewport, factor, this.#at(event), current.picture, size) });
  }
}

/** The shape that begins at a point with the chosen tool. isEraser: whether it is drawn with a pen's eraser. */
export function begun({ tool, brush }: State, at: Point, isEraser = false): Shape {
  const erase = tool === 'eraser' || isEraser;
  if (tool === 'rectangle')
    return { kind: 'rectangle', box: { left: at.x, top: at.y, width: 0, height: 0 }, erase };
  if (tool === 'lasso') return { kind: 'lasso', points: [at], erase };
  return { kind: 'stroke', points: [at], ...brush, erase };
}

/** The shape after the pointer has moved to a point. */
export function extended(shape: Shape, at: Point): Shape {
  if (shape.kind !== 'rectangle') return { ...shape, points: [...shape.points, at] };
  const { left, top } = shape.box;
  return { ...shape, box: { left, top, width: at.x - left, height: at.y - top } };
}

/** A rectangle may have been drawn towards the left or the top. */
function normalised(shape: Shape): Shape {
  if (shape.kind !== 'rectangle') return shape;
  const { left, top, width, height } = shape.box;
  const box = {
    left: Math.min(left, left + width),
    top: Math.min(top, top + height),
    width: Math.abs(width),
    height: Math.abs(height),
  };
  return { ...shape, box };
}

function isNothing(shape: Shape): boolean {
  if (shape.kind === 'rectangle') return Math.abs(shape.box.width) < 1 || Math.abs(shape.box.height) < 1;
  return shape.kind === 'lasso' && shape.points.length < 3;
}
