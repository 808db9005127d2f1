import type { NetworkName } from '../engine/engine.ts';
import { type PlannedStage, stagesOf } from '../image/regions/stages.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { TakesTooLongError } from './errors.ts';
import { evaluationsOfFill, evaluationsOfSample } from './evaluations.ts';
import type { PreparedRequest } from './prepare.ts';

/** Evaluations, in stages that follow one another. Plain data: a job keeps it. */
export type Work = Stage[];

interface Stage {
  network: NetworkName;
  /** Evaluations of a step: they can run at the same time. */
  rows: number;
  /** Steps, one after the other. */
  steps: number;
}

/** What a request takes, over all of its images. */
export function workOf(prepared: PreparedRequest): Work {
  const { numImages, steps } = prepared.parameters;
  if (!('input' in prepared)) return ofWholePictures(numImages, evaluationsOfSample(steps, prepared.start));
  const { region } = prepared;
  if (region.strategy !== 'windows') return ofWholePictures(numImages, region.evaluations);
  const windowsOf = ({ levels }: PlannedStage) =>
    levels.reduce((sum, { level }) => sum + level.windows.length, 0);
  return stagesOf(region.plan).map((stage) => ({
    network: stage.network,
    rows: numImages * windowsOf(stage),
    steps: stage.steps,
  }));
}

const ofWholePictures = (numImages: number, steps: number): Work => [
  { network: 'base', rows: numImages, steps },
];

/** Evaluations, over all networks. */
export const evaluationsOf = (work: Work): number =>
  work.reduce((sum, { rows, steps }) => sum + rows * steps, 0);

/** Seconds of the work on this machine, if it does nothing else. undefined while a network's speed is not known. */
export function secondsOf(
  work: Work,
  { rowSeconds, lastEngine }: Pick<ServedModel, 'rowSeconds' | 'lastEngine'>,
): number | undefined {
  let seconds = 0;
  for (const { network, rows, steps } of work) {
    const each = rowSeconds?.[network];
    if (each === undefined) return undefined;
    seconds += rows * steps * each * slowdown(rows, lastEngine?.workers ?? 1);
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
