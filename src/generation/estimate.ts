import { stepsOf } from '../diffusion/samplers/last-steps.ts';
import { NETWORK_NAMES, type NetworkName } from '../engine/engine.ts';
import type { Plan } from '../image/regions/plan.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { TakesTooLongError } from './errors.ts';
import { evaluationsOfFill } from './evaluations.ts';
import type { PreparedRequest } from './prepare.ts';

type Evaluations = Partial<Record<NetworkName, number>>;

/** Evaluations of each network. */
export interface Work extends Evaluations {
  /** How many of them, at least, follow one another: the rows of one step can be evaluated at the same time. Absent: one. */
  steps?: Evaluations;
}

/** What a request takes, over all of its images. */
export function workOf(prepared: PreparedRequest): Work {
  const { numImages, steps } = prepared.parameters;
  const { card } = prepared.model;
  if (!('input' in prepared)) {
    const { start } = prepared;
    return ofWholePictures(numImages, start ? stepsOf(steps, start.strength) : steps);
  }
  const { region, input } = prepared;
  if (region.strategy !== 'windows')
    return ofWholePictures(numImages, input.hole.fraction < 1 ? evaluationsOfFill(card, steps) : steps);
  return ofWindows(numImages, region.plan);
}

const ofWholePictures = (numImages: number, steps: number): Work => ({
  base: numImages * steps,
  steps: { base: steps },
});

function ofWindows(numImages: number, { regions }: Plan): Work {
  const [work, steps]: [Work, Evaluations] = [{}, {}];
  for (const { levels } of regions) {
    const inTurn: Evaluations = {};
    for (const { network, windows, steps } of levels) {
      work[network] = (work[network] ?? 0) + numImages * windows.length * steps;
      inTurn[network] = (inTurn[network] ?? 0) + steps;
    }
    // Regions are filled side by side.
    for (const name of NETWORK_NAMES) steps[name] = Math.max(steps[name] ?? 0, inTurn[name] ?? 0);
  }
  return { ...work, steps };
}

/** Evaluations, over all networks. */
export const evaluationsOf = ({ base = 0, refiner = 0 }: Work): number => base + refiner;

/** Seconds of the work on this machine, if it does nothing else. undefined while a network's speed is not known. */
export function secondsOf(
  work: Work,
  { rowSeconds, engine }: Pick<ServedModel, 'rowSeconds' | 'engine'>,
): number | undefined {
  let seconds = 0;
  for (const network of NETWORK_NAMES) {
    const evaluations = work[network];
    if (!evaluations) continue;
    const each = rowSeconds?.[network];
    if (each === undefined) return undefined;
    seconds +=
      evaluations * each * slowdown(evaluations / (work.steps?.[network] ?? 1), engine?.workers ?? 1);
  }
  return seconds;
}

/**
 * How many times as long rows take if only so many can be evaluated at the same time: a row takes one worker, but a single
 * one every core.
 */
const slowdown = (rows: number, workers: number) => (rows > 1 ? Math.max(1, workers / rows) : 1);

/**
 * Throws TakesTooLongError when work whose client waits for the answer would take longer than `maxMs` on this machine,
 * if it does nothing else. Loads the model if its speed is not known yet. Rejects with EngineError when that fails.
 */
export async function assertSoon(model: ServedModel, work: Work, maxMs: number): Promise<void> {
  if (!model.rowSeconds) await model.open();
  const seconds = secondsOf(work, model);
  if (seconds !== undefined && 1000 * seconds > maxMs)
    throw new TakesTooLongError(model.ref, evaluationsOf(work), seconds);
}

/** The seconds of a fill of one image at the model's resolution, with the usual number of steps. */
export function secondsOfFill(model: ServedModel): number | undefined {
  return secondsOf(ofWholePictures(1, evaluationsOfFill(model.card, model.card.defaults.steps)), model);
}
