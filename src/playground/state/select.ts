import type { ModelInfo, Run, State } from './types.ts';

/** The run whose candidate is on display. */
export function shownRun({ document, runs }: State): Run | undefined {
  const shown = document?.shown;
  return shown && runs.find(({ id }) => id === shown.run);
}

/** The result that the buttons act on: the one on display, else the one before the hole was changed, else the newest. */
export function currentResult({ document, runs }: State): { run: Run; candidate: number } | undefined {
  const chosen = document?.shown ?? document?.last;
  const run = chosen && runs.find(({ id }) => id === chosen.run);
  if (run) return { run, candidate: chosen.candidate };
  const newest = runs.find(({ picture }) => picture.id === document?.picture.id);
  return newest && { run: newest, candidate: 0 };
}

/** The run of the current result. */
export const currentRun = (state: State): Run | undefined => currentResult(state)?.run;

/** The model that serves most of the requests that name none; any one while there is no default. */
export const defaultModel = ({ models }: Pick<State, 'models'>): ModelInfo | undefined =>
  models.find((each) => each.default) ?? models[0];

/** The model that the settings name, else the default. */
export const chosenModel = (state: Pick<State, 'models' | 'settings'>): ModelInfo | undefined =>
  state.models.find(({ ref }) => ref === state.settings.model) ?? defaultModel(state);

/** Estimates that are shorter are not worth a word. */
const WORTH_SAYING_S = 10;

/**
 * Seconds that a fill with these settings takes, where that is known and long. It is not known where the hole may be filled
 * in several windows: their number depends on the hole. A model that is not conditioned on known pixels fills none.
 */
export function secondsOfFill(state: Pick<State, 'models' | 'settings' | 'document'>): number | undefined {
  const { settings, document } = state;
  const { speed, card, engine } = chosenModel(state) ?? {};
  if (!speed || !card || !document) return undefined;
  const isLarger = Math.max(document.picture.width, document.picture.height) > card.resolution;
  const isWhole = card.conditioning === 'none' || ['crop', 'resize'].includes(settings.strategy);
  if (isLarger && !isWhole) return undefined;
  const steps = Number(settings.steps) || card.defaults.steps;
  const images = Number(settings.num_images) || 1;
  // A single image is evaluated on every core, several take a worker each.
  const inTurn = images === 1 ? 1 : Math.max(images, engine?.workers ?? 1);
  const seconds = (speed.seconds_per_fill * steps * inTurn) / card.defaults.steps;
  return seconds >= WORTH_SAYING_S ? seconds : undefined;
}

/** A duration for people to read. */
export function inWords(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/** Size of the brush that suits a picture: an eighth of its shorter side. */
export const defaultBrush = ({ width, height }: { width: number; height: number }): number =>
  Math.max(1, Math.round(Math.min(width, height) / 8));

/** Feather that suits a picture: nothing for small ones, up to 8 px for photographs. */
export function defaultFeather({ width, height }: { width: number; height: number }): number {
  return Math.min(8, Math.floor(Math.min(width, height) / 256));
}

/** What a fill would send, as fields of the API. Empty ones are absent: the service's defaults. */
export function requestFields(state: State): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(state.settings)) if (value !== '') fields[name] = value;
  const feather = state.document ? defaultFeather(state.document.picture) : 0;
  if (fields.mask_blur === undefined && feather > 0) fields.mask_blur = String(feather);
  return fields;
}

/** Whether something would be missed if the picture were replaced. */
export function hasUnsavedWork({ runs, document, fill }: State): boolean {
  if (fill || runs.some(({ candidates }) => candidates.every(({ saved }) => !saved))) return true;
  if (!document || document.shown || document.untouched) return false;
  const { version, fraction } = document.mask;
  return fraction > 0 && !runs.some(({ mask }) => mask.version === version); // else a result leads back to the hole
}

/** The command that makes the picture on display again; while the hole is on display, the one that fills it. */
export function curlCommand(state: State, base: string): string {
  const quote = (text: string) => (/^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
  // curl splits a name at these characters, unless it is quoted for curl too.
  const quoteName = (name: string) => (/[,;"\\]/.test(name) ? `"${name.replace(/["\\]/g, '\\$&')}"` : name);
  const run = shownRun(state);
  const candidate = state.document?.shown?.candidate ?? 0;
  const fields = { ...(run?.fields ?? requestFields(state)), num_images: String(candidate + 1) };
  return [
    `curl -sS --fail-with-body ${quote(`${base}v1/inpaint`)}`,
    ...(state.key ? ['-H "authorization: Bearer $API_KEY"'] : []),
    `-H 'accept: ${candidate > 0 ? 'application/json' : 'image/png'}'`,
    `-F image=@${quote(quoteName(state.document?.picture.name ?? 'picture.png'))}`,
    '-F mask=@mask.png',
    ...Object.entries(fields).map(([name, value]) => `-F ${quote(`${name}=${value}`)}`),
    candidate > 0 ? `| jq -r '.images[${candidate}].data' | base64 -d > filled.png` : '-o filled.png',
  ].join(' \\\n  ');
}
