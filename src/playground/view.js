/** @typedef {import('./strokes.js').Strokes} Strokes */

/** @typedef {{ left: number, top: number, width: number, height: number }} Box */

const HOLE = '#ff3b6b';
const HOLE_ALPHA = 0.55;
/** Limit for enlarging small pictures, in CSS pixels per picture pixel. */
const LARGEST_ZOOM = 8;

/** Draws the picture on the canvas, with the painted hole or the current preview on top. */
export class View {
  #canvas;
  #context;
  #layer = new OffscreenCanvas(1, 1);
  /** Canvas pixels per picture pixel. */
  scale = 1;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  }

  /**
   * Resizes the canvas to the largest size that fits its parent element, up to LARGEST_ZOOM.
   *
   * @param {{ width: number, height: number }} picture
   */
  fit({ width, height }) {
    const room = /** @type {HTMLElement} */ (this.#canvas.parentElement);
    const style = getComputedStyle(room);
    const inner = {
      width: room.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight),
      height: room.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom),
    };
    const zoom = Math.min(inner.width / width, inner.height / height, LARGEST_ZOOM);
    this.scale = zoom * devicePixelRatio;
    this.#canvas.width = this.#layer.width = Math.max(1, Math.round(width * this.scale));
    this.#canvas.height = this.#layer.height = Math.max(1, Math.round(height * this.scale));
    this.#canvas.style.width = `${Math.round(width * zoom)}px`;
  }

  /** The pointer's position in pixel coordinates of the picture. @param {PointerEvent} event */
  point({ clientX, clientY }) {
    const { left, top, width } = this.#canvas.getBoundingClientRect();
    const pixels = this.#canvas.width / width / this.scale;
    return { x: (clientX - left) * pixels, y: (clientY - top) * pixels };
  }

  /** @param {CanvasImageSource} picture */
  show(picture) {
    const { width, height } = this.#canvas;
    this.#context.imageSmoothingQuality = 'high';
    this.#context.drawImage(picture, 0, 0, width, height);
  }

  /** @param {Strokes} strokes */
  showHole(strokes) {
    this.#drawLayer((layer) => strokes.draw(layer, this.scale, HOLE), HOLE_ALPHA);
  }

  /**
   * Draws the preview, which covers `box`, inside the hole only.
   *
   * @param {Strokes} strokes @param {ImageBitmap} estimate @param {Box} box
   */
  showEstimate(strokes, estimate, { left, top, width, height }) {
    this.#drawLayer((layer) => {
      strokes.draw(layer, this.scale, HOLE);
      layer.globalCompositeOperation = 'source-in';
      const [x, y, w, h] = [left, top, width, height].map((n) => n * this.scale);
      layer.drawImage(estimate, x, y, w, h);
      layer.globalCompositeOperation = 'source-over';
    }, 1);
  }

  /** @param {(layer: any) => void} draw @param {number} alpha */
  #drawLayer(draw, alpha) {
    const { width, height } = this.#layer;
    const layer = /** @type {OffscreenCanvasRenderingContext2D} */ (this.#layer.getContext('2d'));
    layer.clearRect(0, 0, width, height);
    draw(layer);
    this.#context.globalAlpha = alpha;
    this.#context.drawImage(this.#layer, 0, 0);
    this.#context.globalAlpha = 1;
  }
}
