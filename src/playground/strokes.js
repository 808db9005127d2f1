/**
 * The painted strokes, in pixel coordinates of the picture, so that each can be undone and drawn at any scale.
 *
 * @typedef {{ x: number, y: number }} Point
 * @typedef {{ width: number, erase: boolean, points: Point[] }} Stroke
 */
export class Strokes {
  /** @type {Stroke[]} */
  #strokes = [];

  get empty() {
    return this.#strokes.length === 0;
  }

  /** @param {Omit<Stroke, 'points'>} brush @param {Point} point */
  begin(brush, point) {
    this.#strokes.push({ ...brush, points: [point] });
  }

  /** @param {Point} point */
  extend(point) {
    this.#strokes.at(-1)?.points.push(point);
  }

  undo() {
    this.#strokes.pop();
  }

  clear() {
    this.#strokes = [];
  }

  /**
   * Draws all strokes opaquely in one colour onto a transparent canvas. `scale` is canvas pixels per picture pixel.
   *
   * @param {CanvasRenderingContext2D} context @param {number} scale @param {string} colour
   */
  draw(context, scale, colour) {
    context.save();
    context.scale(scale, scale);
    context.lineCap = context.lineJoin = 'round';
    context.strokeStyle = colour;
    for (const { width, erase, points } of this.#strokes) {
      context.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
      context.lineWidth = width;
      context.beginPath();
      const [first, ...rest] = points;
      context.moveTo(first.x, first.y);
      context.lineTo(first.x, first.y); // so that a single click draws a dot
      for (const { x, y } of rest) context.lineTo(x, y);
      context.stroke();
    }
    context.restore();
  }

  /**
   * Renders the mask for the service as a PNG, white in the hole; null if nothing is painted.
   *
   * @param {number} width @param {number} height @returns {Promise<Blob | null>}
   */
  async mask(width, height) {
    const canvas = new OffscreenCanvas(width, height);
    const context = /** @type {any} */ (canvas.getContext('2d', { willReadFrequently: true }));
    this.draw(context, 1, 'white');
    const { data } = context.getImageData(0, 0, width, height);
    let any = false;
    for (let i = 0; i < data.length; i += 4) {
      // Partly covered edge pixels belong to the hole: they still show the content to replace.
      const hole = data[i + 3] > 0;
      any ||= hole;
      data[i] = data[i + 1] = data[i + 2] = hole ? 255 : 0;
      data[i + 3] = 255;
    }
    if (!any) return null;
    context.putImageData(new ImageData(data, width, height), 0, 0);
    return canvas.convertToBlob({ type: 'image/png' });
  }
}
