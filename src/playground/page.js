/** The page's state and event handlers. strokes.js stores the painted mask, view.js draws, service.js calls the API. */
import { draw, fill, models, ServiceError } from './service.js';
import { Strokes } from './strokes.js';
import { View } from './view.js';

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);
const [canvas, form, stage] = ['canvas', 'tools', 'stage'].map(element);

const view = new View(canvas);
const strokes = new Strokes();

/** The picture to fill, as a file and decoded. @type {{ file: Blob, bitmap: ImageBitmap } | undefined} */
let picture;
/** The filled variants of the last request. @type {{ file: Blob, bitmap: ImageBitmap, url: string }[]} */
let results = [];
/** Index of the result on display, or -1 for the picture with its hole. */
let shown = -1;
/** Aborts the request in progress; undefined if there is none. @type {AbortController | undefined} */
let filling;
/** The latest preview of the request in progress. @type {{ bitmap: ImageBitmap, box: any } | undefined} */
let estimate;

function render() {
  if (!picture) return;
  const comparing = element('compare').getAttribute('aria-pressed') === 'true';
  const result = comparing ? undefined : results[shown];
  view.show((result ?? picture).bitmap);
  if (filling && estimate) view.showEstimate(strokes, estimate.bitmap, estimate.box);
  else if (!result && !comparing) view.showHole(strokes);
}

/** @param {string} text @param {boolean} [wrong] */
function say(text, wrong = false) {
  element('status').textContent = text;
  element('status').classList.toggle('error', wrong);
}

/** @param {any} error */
function sayWhatIsWrong(error) {
  const { status, message } = error;
  const asksForKey = error instanceof ServiceError && status === 401;
  if (asksForKey) element('key').closest('details').open = true;
  say(asksForKey ? `${message} Enter your API key under Details.` : message, true);
}

const key = () => element('key').value.trim();

/** @param {Blob} file */
async function open(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file); // applies the EXIF orientation, as the service does
  } catch {
    form.hidden = false;
    return say('Your browser cannot open this file as a picture.', true);
  }
  filling?.abort();
  picture = { file, bitmap };
  strokes.clear();
  showResults([]);
  element('empty').hidden = true;
  canvas.hidden = form.hidden = false;
  view.fit(bitmap);
  element('size').max = Math.max(2, Math.round(Math.min(bitmap.width, bitmap.height) / 2));
  element('size').value = Math.max(1, Math.round(Math.min(bitmap.width, bitmap.height) / 8));
  say('Paint over the area to fill.');
  render();
}

/** @param {typeof results} found */
function showResults(found) {
  for (const { url, bitmap } of results) {
    URL.revokeObjectURL(url);
    bitmap.close();
  }
  results = found;
  const buttons = found.map(({ url }, i) => {
    const image = Object.assign(new Image(), { src: url, alt: `Variant ${i + 1}` });
    const button = Object.assign(document.createElement('button'), { type: 'button' });
    button.append(image);
    button.addEventListener('click', () => choose(i));
    return button;
  });
  element('candidates').replaceChildren(...buttons);
  element('results').hidden = found.length === 0;
  choose(found.length > 0 ? 0 : -1);
}

/** @param {number} i */
function choose(i) {
  shown = i;
  element('compare').setAttribute('aria-pressed', 'false');
  [...element('candidates').children].forEach((button, n) => {
    button.setAttribute('aria-pressed', String(n === i));
  });
  if (results[i]) element('download').href = results[i].url;
  render();
}

async function fillHole() {
  if (!picture) return;
  const { file, bitmap } = picture;
  const mask = await strokes.mask(bitmap.width, bitmap.height);
  if (!mask) return say('Paint over the area to fill first.', true);
  const body = new FormData();
  for (const [name, value] of new FormData(form)) if (name !== 'tool' && value !== '') body.set(name, value);
  body.set('preview_every', '1');
  body.set('image', file, 'picture');
  body.set('mask', mask, 'mask.png');

  showResults([]);
  const mine = new AbortController();
  filling = mine;
  setBusy(true);
  say('Sending…');
  try {
    const result = await fill(body, key(), mine.signal, (event, data) => {
      if (event === 'queued')
        say(data.position > 0 ? `Waiting: ${data.position} in the queue before this one.` : 'Drawing…');
      else void showProgress(data, mine);
    });
    const found = await Promise.all(result.images.map(decodeResult));
    endFilling(mine);
    showResults(found);
    const seconds = Object.values(result.timings_ms).reduce((a, b) => a + b, 0) / 1000;
    say(
      `${result.model}, ${result.sampler}, ${result.steps} steps, seed ${result.seed}: ${seconds.toFixed(1)} s.`,
    );
  } catch (error) {
    endFilling(mine);
    if (mine.signal.aborted) say('Cancelled.');
    else sayWhatIsWrong(error);
  }
  render();
}

/** @param {AbortController} mine */
function endFilling(mine) {
  if (filling !== mine) return; // a newer request has started
  filling = undefined;
  estimate = undefined;
  setBusy(false);
}

/** @param {any} data @param {AbortController} mine */
async function showProgress({ step, of, eta_ms, preview, box }, mine) {
  element('progress').value = step / of;
  say(`Drawing: ${Math.round((100 * step) / of)} %, ${Math.ceil(eta_ms / 1000)} s left.`);
  if (!preview) return;
  const bitmap = await createImageBitmap(toBlob(preview.split(',')[1], 'image/webp'));
  if (filling !== mine) return;
  estimate = { bitmap, box };
  render();
}

/** @param {{ data: string }} image */
async function decodeResult({ data }) {
  const file = toBlob(data, 'image/png');
  return { file, bitmap: await createImageBitmap(file), url: URL.createObjectURL(file) };
}

/** @param {string} base64 @param {string} type */
function toBlob(base64, type) {
  return new Blob([Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))], { type });
}

/** @param {boolean} busy */
function setBusy(busy) {
  element('fill').disabled = element('brush').disabled = busy;
  element('cancel').hidden = element('progress').hidden = !busy;
  element('progress').value = 0;
}

// Painting
canvas.addEventListener('pointerdown', (/** @type {PointerEvent} */ event) => {
  if (filling || event.button !== 0) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  if (shown >= 0) choose(-1); // painting edits the hole, so show it
  const erase = form.elements.namedItem('tool').value === 'erase';
  strokes.begin({ width: Number(element('size').value), erase }, view.point(event));
  render();
});
canvas.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
  if (filling || !canvas.hasPointerCapture(event.pointerId)) return;
  for (const moved of event.getCoalescedEvents?.() ?? [event]) strokes.extend(view.point(moved));
  render();
});

const undo = () => {
  strokes.undo();
  choose(-1);
};
element('undo').addEventListener('click', undo);
element('clear').addEventListener('click', () => {
  strokes.clear();
  choose(-1);
});
document.addEventListener('keydown', (event) => {
  const typing = event.target instanceof HTMLInputElement && event.target.type !== 'range';
  if (!picture || filling || typing) return;
  const size = element('size');
  if (event.key === '[') size.value = Math.floor(size.value / 1.25);
  else if (event.key === ']') size.value = Math.ceil(size.value * 1.25);
  else if (event.key === 'e') {
    const tool = form.elements.namedItem('tool');
    tool.value = tool.value === 'erase' ? 'paint' : 'erase';
  } else if (event.key === 'z' && (event.ctrlKey || event.metaKey)) undo();
  else return;
  event.preventDefault();
});

// Filling
form.addEventListener('submit', (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  if (!filling) void fillHole();
});
element('cancel').addEventListener('click', () => filling?.abort());
element('compare').addEventListener('click', () => {
  const button = element('compare');
  button.setAttribute('aria-pressed', String(button.getAttribute('aria-pressed') !== 'true'));
  render();
});
element('keep').addEventListener('click', () => open(results[shown < 0 ? 0 : shown].file));

// Opening pictures
const file = element('file');
const pick = () => file.click();
element('open').addEventListener('click', pick);
element('another').addEventListener('click', pick);
file.addEventListener('change', () => {
  if (file.files[0]) void open(file.files[0]);
  file.value = ''; // so that the same file can be chosen again
});
stage.addEventListener('dragover', (/** @type {DragEvent} */ event) => {
  event.preventDefault();
  stage.classList.add('over');
});
for (const end of ['dragleave', 'drop']) stage.addEventListener(end, () => stage.classList.remove('over'));
stage.addEventListener('drop', (/** @type {DragEvent} */ event) => {
  event.preventDefault();
  const dropped = event.dataTransfer?.files[0];
  if (dropped) void open(dropped);
});
document.addEventListener('paste', (event) => {
  const pasted = event.clipboardData?.files[0];
  if (pasted) void open(pasted);
});
element('draw').addEventListener('click', async () => {
  const button = element('draw');
  button.disabled = true;
  try {
    await open(await draw(key()));
  } catch (error) {
    form.hidden = false;
    sayWhatIsWrong(error);
  } finally {
    button.disabled = false;
  }
});

new ResizeObserver(() => {
  if (!picture) return;
  view.fit(picture.bitmap);
  render();
}).observe(stage);

async function listModels() {
  const found = await models(key());
  const select = form.elements.namedItem('model');
  select.replaceChildren(new Option('default', ''), ...found.map(({ ref }) => new Option(ref)));
  const chosen = found.find((model) => model.default) ?? found[0];
  element('resolution').textContent = chosen.card.resolution;
}
element('key').addEventListener('change', () => listModels().catch(sayWhatIsWrong));
listModels().catch(() => {}); // filling works with the default model, and reports its own errors
