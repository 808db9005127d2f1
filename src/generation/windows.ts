import type { NetworkName } from '../engine/engine.ts';
import { clip, union } from '../image/box.ts';
import type { Fill } from '../image/composite.ts';
import { knownFeatures } from '../image/drift.ts';
import type { Size } from '../image/picture.ts';
import { cropTensor } from '../image/regions/crop.ts';
import type { Plan } from '../image/regions/plan.ts';
import { stagesOf } from '../image/regions/stages.ts';
import { inPicture, toPicture } from '../image/regions/windows.ts';
import { levelPixels } from '../image/threads.ts';
import { type ServedModel, usableNetworks } from '../registry/served-model.ts';
import type { FillSpec } from './fill-spec.ts';
import type { HoledPicture, SamplingParameters } from './parameters.ts';
import { type StageSpec, sampledAs, type WindowedSpec } from './trajectories/create.ts';
import type { Canvas } from './trajectories/enlarge.ts';
import type { LevelInput } from './trajectories/joint.ts';

/** Fills the regions of a plan in windows. */
export async function specifyWindows(
  model: ServedModel,
  input: Pick<HoledPicture, 'picture' | 'mask'>,
  plan: Plan,
  parameters: SamplingParameters,
): Promise<FillSpec> {
  const stages = await specify(model, input, plan, parameters);
  const { seed, numImages } = parameters;
  const candidates = Array.from({ length: numImages }, (_, candidate) => candidate);
  const shown = plan.regions.map(({ levels: [{ canvas, level }] }) => toPicture(canvas, level)).reduce(union);
  return {
    specs: candidates.map((candidate): WindowedSpec => ({ method: 'windows', stages, seed, candidate })),
    boxOf: (canvas) => toPicture(canvas, canvas.level),
    fillOf: (canvas) => fillOf(canvas, input.picture),
    box: clip(shown, input.picture) ?? shown,
    features: featuresOf(stages[0].levels[0].input),
  };
}

function fillOf({ level, x0, ...canvas }: Canvas, picture: Size): Fill {
  const { width, height } = canvas;
  const inside = inPicture(canvas, level, picture);
  const part = { ...inside, left: 0, top: 0 };
  return { x0, width, height, part, box: toPicture(inside, level) };
}

/** Of the known pixels in the first window. */
function featuresOf({ canvas, windows: [window], x0, mask }: LevelInput) {
  return knownFeatures(cropTensor(x0, canvas, window), cropTensor(mask, canvas, window));
}

/** The stages of a plan that the model's engine can evaluate. */
async function specify(
  model: ServedModel,
  { picture, mask }: Pick<HoledPicture, 'picture' | 'mask'>,
  plan: Plan,
  parameters: SamplingParameters,
): Promise<StageSpec[]> {
  await model.open(); // before that, which networks its engine serves is not known
  const served = usableNetworks(model);
  const stages: StageSpec[] = [];
  for (const { network, steps, levels } of stagesOf(plan)) {
    if (!served.includes(network)) continue;
    const stage: StageSpec = { ...samplingOf(model, network, parameters, steps), levels: [] };
    for (const { region, level } of levels)
      stage.levels.push({ region, input: { ...level, ...(await levelPixels(picture, mask, level)) } });
    stages.push(stage);
  }
  return stages;
}

function samplingOf(
  { card }: ServedModel,
  network: NetworkName,
  parameters: SamplingParameters,
  steps: number,
) {
  const { refiner } = card;
  if (network === 'base' || !refiner) return { network, ...sampledAs(card, { ...parameters, steps }) };
  const { level: noise, level_max: noiseMax, sharpen, defaults } = refiner;
  return { network, ...sampledAs(refiner, { ...defaults, steps }), refining: { noise, noiseMax, sharpen } };
}
