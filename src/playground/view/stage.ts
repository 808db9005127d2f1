import { shownRun } from '../state/select.ts';
import type { Store } from '../state/store.ts';
import type { Box, Document, Shape, State, Viewport } from '../state/types.ts';
import type { Studio } from '../worker/client.ts';
import { Bitmaps, candidatePicture } from './bitmaps.ts';
import { byId } from './dom.ts';
import { Overlays } from './overlays.ts';
import { paintCheckerboard, paintOutline, paintPicture, paintShape, paintWindows } from './paint.ts';
import { aligned, fitted, visible } from './viewport.ts';

const MASK_OPACITY = 0.55;

/** The canvas: draws the picture, or the result, and what lies over it, once per frame of the screen. */
export class Stage {
  /** Takes the pointer and the focus. */
  readonly surface = byId('surface');
  readonly bitmaps: Bitmaps;
  readonly #overlays: Overlays;
  readonly #store: Store;
  readonly #canvas = byId<HTMLCanvasElement>('canvas');
  readonly #context = this.#canvas.getContext('2d') as CanvasRenderingContext2D;
  /** Mask and drawn shapes are joined here, so that erasing a part of the mask can be shown. */
  readonly #layer = new OffscreenCanvas(1, 1);
  /** Shapes that become part of the mask, with its version from then on, until they are part of its drawing too. */
  #settling: { shape: Shape; version?: number }[] = [];
  #scheduled = false;

  constructor(store: Store, studio: Studio) {
    this.#store = store;
    const redraw = () => this.schedule();
    this.bitmaps = new Bitmaps(studio, redraw);
    this.#overlays = new Overlays(studio, redraw);
    store.onChange((state, before) => {
      this.surface.hidden = !state.document; // at once, so that it can take the focus
      if (state.document?.picture !== before.document?.picture && state.viewport.fitted)
        store.set({ viewport: this.fittedView(store.state) });
      redraw();
    });
    new ResizeObserver(() => {
      if (this.#store.state.viewport.fitted) store.set({ viewport: this.fittedView(store.state) });
      redraw();
    }).observe(byId('stage'));
  }

  get size() {
    const { clientWidth: width, clientHeight: height } = byId('stage');
    return { width, height };
  }

  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  /** Keeps a shape on display until the mask's drawing contains it. */
  async settle(shape: Shape, committed: Promise<void>): Promise<void> {
    const settling: { shape: Shape; version?: number } = { shape };
    this.#settling.push(settling);
    try {
      await committed;
    } finally {
      settling.version = this.#store.state.document?.mask.version ?? 0;
    }
  }

  /** The view of the whole picture, with the frame that may be around it. */
  fittedView({ document: shown, frame, viewport }: State): Viewport {
    return shown ? fitted(shown.picture, this.size, frame) : viewport;
  }

  #draw(): void {
    const ratio = devicePixelRatio;
    const viewport = aligned(this.#store.state.viewport, ratio);
    const state = { ...this.#store.state, viewport };
    const canvas = this.#canvas;
    const { width, height } = this.size;
    if (width === 0 || height === 0) return; // the other tab is open
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = this.#layer.width = Math.round(width * ratio);
      canvas.height = this.#layer.height = Math.round(height * ratio);
    }
    const context = this.#context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const { document: shown } = state;
    const part = shown && visible(viewport, shown.picture, { width, height });
    if (!shown || !part) return;
    const on = { ...shown, part, ratio };
    this.#drawPicture(state, on);
    const { scale, x, y } = viewport;
    context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
    const run = shownRun(state);
    if (state.fill) this.#drawPreview(state, on);
    else if (!shown.shown) this.#drawMask(state, on);
    if (run && state.show.uncertainty) this.#drawHeat(run, shown);
    if (run && state.show.windows) this.#drawWindows(run.answer, scale);
    if (state.drawing) paintOutline(context, state.drawing, scale);
  }

  #drawPicture(state: State, { picture, part, ratio }: Document & { part: Box; ratio: number }): void {
    const context = this.#context;
    const { scale, x, y } = state.viewport;
    const area = { left: x, top: y, width: picture.width * scale, height: picture.height * scale };
    if (picture.transparent) paintCheckerboard(context, within(area, this.size));
    const original = this.bitmaps.of(picture);
    const run = shownRun(state);
    const index = state.document?.shown?.candidate ?? 0;
    const result = run && this.bitmaps.of(candidatePicture(run.id, index, run.candidates[index]));
    const levels = result ?? original;
    if (!levels) return;
    paintPicture(context, levels, picture, part, state.viewport, ratio);
    if (!result || !original || !state.show.before) return;
    context.save();
    context.beginPath();
    context.rect(area.left, area.top, area.width * state.divider, area.height);
    context.clip();
    if (picture.transparent) paintCheckerboard(context, within(area, this.size));
    paintPicture(context, original, picture, part, state.viewport, ratio);
    context.restore();
  }

  #drawMask(state: State, { mask, part, ratio }: Document & { part: Box; ratio: number }): void {
    const drawing = this.#maskDrawing(mask.version, part, state.viewport.scale * ratio);
    const drawn = drawing?.version ?? 0;
    this.#settling = this.#settling.filter(
      ({ version }) => version === undefined || (drawn < version && version <= mask.version), // else drawn, or undone
    );
    const shapes = [...this.#settling.map(({ shape }) => shape), ...(state.drawing ? [state.drawing] : [])];
    if (!drawing && shapes.length === 0) return;
    this.#onLayer((layer) => {
      if (drawing) {
        const { box, bitmap } = drawing;
        layer.drawImage(bitmap, box.left, box.top, box.width, box.height);
      }
      for (const shape of shapes) paintShape(layer, shape);
    }, MASK_OPACITY);
  }

  /** The preview where the service sent one, which may be for a part of the hole only; the mask elsewhere. */
  #drawPreview(state: State, on: Document & { part: Box; ratio: number }): void {
    const { mask, picture, part, ratio } = on;
    const preview = this.#overlays.preview(state);
    const drawing = this.#maskDrawing(mask.version, part, state.viewport.scale * ratio);
    if (!preview || !drawing) {
      this.#drawMask(state, on);
      return;
    }
    const whole = { left: 0, top: 0, width: picture.width, height: picture.height };
    const { left, top, width, height } = preview.frame.box ?? whole;
    const context = this.#context;
    context.save();
    context.beginPath();
    context.rect(0, 0, picture.width, picture.height);
    context.rect(left, top, width, height);
    context.clip('evenodd'); // outside of the box
    this.#drawMask(state, on);
    context.restore();
    this.#onLayer((layer) => {
      layer.drawImage(
        drawing.bitmap,
        drawing.box.left,
        drawing.box.top,
        drawing.box.width,
        drawing.box.height,
      );
      layer.globalCompositeOperation = 'source-in';
      layer.imageSmoothingEnabled = true;
      layer.drawImage(preview.bitmap, left, top, width, height);
      layer.globalCompositeOperation = 'source-over';
    }, 1);
  }

  #maskDrawing(version: number, box: Box, scale: number) {
    const width = Math.max(1, Math.min(box.width, Math.round(box.width * scale)));
    const height = Math.max(1, Math.min(box.height, Math.round(box.height * scale)));
    return this.#overlays.mask({ version, box, width, height });
  }

  #onLayer(draw: (layer: OffscreenCanvasRenderingContext2D) => void, alpha: number): void {
    const layer = this.#layer.getContext('2d') as OffscreenCanvasRenderingContext2D;
    layer.setTransform(1, 0, 0, 1, 0, 0);
    layer.clearRect(0, 0, this.#layer.width, this.#layer.height);
    layer.setTransform(this.#context.getTransform());
    layer.imageSmoothingEnabled = false;
    draw(layer);
    this.#context.save();
    this.#context.resetTransform();
    this.#context.globalAlpha = alpha;
    this.#context.drawImage(this.#layer, 0, 0);
    this.#context.restore();
  }

  #drawHeat(run: NonNullable<ReturnType<typeof shownRun>>, { picture }: Document): void {
    const heat = this.#overlays.heat(run);
    this.#context.imageSmoothingEnabled = true;
    if (heat) this.#context.drawImage(heat, 0, 0, picture.width, picture.height);
  }

  #drawWindows({ plan, box }: { plan?: State['runs'][0]['answer']['plan']; box?: Box }, scale: number): void {
    const whole = box ? [{ network: 'base', scale: 1, box, windows: [box] }] : [];
    for (const { levels } of plan?.regions ?? [{ levels: whole }]) paintWindows(this.#context, levels, scale);
  }
}

/** The part of a box that lies in the stage. */
function within({ left, top, width, height }: Box, size: { width: number; height: number }): Box {
  const from = { left: Math.max(0, left), top: Math.max(0, top) };
  return {
    ...from,
    width: Math.max(0, Math.min(left + width, size.width) - from.left),
    height: Math.max(0, Math.min(top + height, size.height) - from.top),
  };
}
