import { stepsOf } from '../diffusion/samplers/last-steps.ts';
import type { NetworkName, RowSeconds } from '../engine/engine.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { TakesTooLongError } from './errors.ts';
import { evaluationsOfFill } from './evaluations.ts';
import type { PreparedRequest } from './prepare.ts';

/** Evaluations of each network. */
export type Work = Partial<Record<NetworkName, number>>;

/** What a request takes, over all of its images. */
export function workOf(prepared: PreparedRequest): Work {
  const { numImages, steps } = prepared.parameters;
  const { card } = prepared.model;
  if (!('input' in prepared)) {
    const { start } = prepared;
    return { base: numImages * (start ? stepsOf(steps, start.strength) : steps) };
  }
  const { region, input } = prepared;
  if (region.strategy !== 'windows')
    return { base: numImages * (input.hole.fraction < 1 ? evaluationsOfFill(card, steps) : steps) };
  const work: Work = {};
  for (const { network, windows, steps } of region.plan.regions.flatMap(({ levels }) => levels))
    work[network] = (work[network] ?? 0) + numImages * windows.length * steps;
  return work;
}

/** Evaluations, over all networks. */
export const evaluationsOf = ({ base = 0, refiner = 0 }: Work): number => base + refiner;

/** Seconds of the work on this machine, if it does nothing else. undefined while a network's speed is not known. */
export function secondsOf(work: Work, rowSeconds: RowSeconds | undefined): number | undefined {
  let seconds = 0;
  for (const [network, evaluations] of Object.entries(work) as [NetworkName, number][]) {
    const each = rowSeconds?.[network];
    if (each === undefined) return undefined;
    seconds += evaluations * each;
  }
  return seconds;
}

/**
 * Throws TakesTooLongError when work whose client waits for the answer would take longer than `maxMs` on this machine,
 * if it does nothing else. Loads the model if its speed is not known yet. Rejects with EngineError when that fails.
 */
export async function assertSoon(model: ServedModel, work: Work, maxMs: number): Promise<void> {
  if (!model.rowSeconds) await model.open();
  const seconds = secondsOf(work, model.rowSeconds);
  if (seconds !== undefined && 1000 * seconds > maxMs)
    throw new TakesTooLongError(model.ref, evaluationsOf(work), seconds);
}

/** The seconds of a fill of one image at the model's resolution, with the usual number of steps. */
export function secondsOfFill({ card, rowSeconds }: ServedModel): number | undefined {
  return secondsOf({ base: evaluationsOfFill(card, card.defaults.steps) }, rowSeconds);
}
