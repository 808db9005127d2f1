import type { NetworkName } from '../../engine/engine.ts';
import { centredOn, overlap, union } from '../box.ts';
import type { Box, Mask } from '../picture.ts';
import { type HolePart, holeParts } from './parts.ts';
import { atLevel, contextOf, type LevelBox, tile, toPicture } from './windows.ts';

/** How a hole is filled: as plain data, known before anything is evaluated. */
export interface Plan {
  /** They do not overlap, and are filled independently. */
  regions: Region[];
  /** Evaluations of the networks, for one candidate. */
  evaluations: number;
}

/** A part of the picture, with some of the hole, that is filled from a coarse level of an image pyramid to a fine one. */
export interface Region {
  /** In order: the base model fills the first, the refiner each further one. */
  levels: Level[];
}

/** What is denoised at one level of the pyramid, in pixels of this level: each covers 2^k x 2^k pixels of the picture. */
export interface Level {
  /** k, 0 or more; one less than that of the region's level before. */
  level: number;
  network: NetworkName;
  /** The part of the level that is kept in memory. It may extend beyond the picture's right and bottom edges if it begins at its left or top one. */
  canvas: LevelBox;
  /** Windows of the network's size in the canvas. They are denoised together. */
  windows: LevelBox[];
  /** Evaluations of each window. */
  steps: number;
}

/** How a network is used. */
export interface NetworkUse {
  /** Side of its windows, in pixels. */
  window: number;
  /** Evaluations of a window; of the base model, at most. */
  steps: number;
}

export interface PlanOptions {
  base: NetworkUse;
  /** Absent where the model has none. */
  refiner?: NetworkUse;
  /** Evaluations that a plan may have. A plan with more stops at a coarser level. */
  maxEvaluations: number;
}

/**
 * A hole up to this share of a window's side leaves enough known context around it. With a refiner, a level that shows twice
 * as much is better: on wide strokes across faces the Frechet distance falls by a third. Without one, the fill would stay at
 * half of the resolution.
 */
const MAX_HOLE = { refined: 0.3, alone: 0.6 };
/**
 * Share of its side that a window has in common with the next one. The base model decides what is drawn, and windows that
 * see more of each other agree better; the refiner sees the coarse fill everywhere.
 */
const OVERLAP = { base: 0.5, refiner: 0.25 };
/**
 * A region whose parts are all usually up to this thick, in pixels, takes few steps at the picture's own resolution: little texture
 * fits into it, and the more steps, the further a sample lies from the mean of what is likely there. Fewer than twice as
 * many stay as they are: a student knows only the timesteps of the number of steps that it was made for.
 */
const thinFor = (window: number) => Math.min(8, window / 8);
const THIN_STEPS = 3;
/** Levels that a refiner may add: it was trained for the first, and each repeats its mistakes. */
const MAX_DOUBLINGS = 4;

/**
 * Plans how to fill the hole. Every part of it starts at the finest level of the pyramid at which a window shows enough
 * known context around it: thin and small holes at the picture's own resolution, a hole larger than a window where the
 * whole picture fits into one. The refiner then doubles the resolution until it is the picture's.
 *
 * Parts that would be seen by each other's windows share a region. `hole`: the mask's bounding box.
 */
export function planRegions(mask: Mask, hole: Box, options: PlanOptions): Plan {
  const { window } = options.base;
  const parts = holeParts(mask, hole);
  // Without enough evaluations, all regions stop at a coarser level, and start no finer than it. Windows then show more of the
  // picture, so more parts share a region.
  for (let finest = 0; ; finest++) {
    const groups = merge(parts, mask, finest, options);
    const regions = groups.map((group) => ({ levels: levelsOf(mask, group, finest, options) }));
    const evaluations = count(regions);
    if (evaluations <= options.maxEvaluations || finest >= wholeLevel(mask, window))
      return { regions, evaluations };
  }
}

/** Evaluations of one candidate. */
function count(regions: readonly Region[]): number {
  let sum = 0;
  for (const { levels } of regions) for (const { windows, steps } of levels) sum += windows.length * steps;
  return sum;
}

/** Parts of the hole that are filled together, from level `start` on. */
interface Group {
  parts: Box[];
  start: number;
  thin: boolean;
}

/** The level at which the whole picture fits into one window. */
function wholeLevel({ width, height }: Mask, window: number): number {
  return Math.max(0, Math.ceil(Math.log2(Math.max(width, height) / window)));
}

/** Not so coarse that the refiner could not reach the picture's own resolution, unless the hole is too large for less. */
function startLevel({ thickness }: HolePart, mask: Mask, { base: { window }, refiner }: PlanOptions): number {
  const levelFor = (share: number) => Math.max(0, Math.ceil(Math.log2(thickness / (share * window))));
  let level = levelFor(MAX_HOLE.alone);
  if (refiner) level = Math.max(level, Math.min(levelFor(MAX_HOLE.refined), MAX_DOUBLINGS));
  return Math.min(level, wholeLevel(mask, window));
}

/** Merges parts until no part lies in a canvas of another group. None starts at a level finer than `finest`. */
function merge(parts: readonly HolePart[], mask: Mask, finest: number, options: PlanOptions): Group[] {
  let groups: Group[] = parts.map((part) => ({
    parts: [part.box],
    start: Math.max(finest, startLevel(part, mask, options)),
    thin: part.usualThickness <= thinFor(options.base.window),
  }));
  const sees = (group: Group, other: Group) =>
    pyramidOf(group, finest, options).some(({ level, use }) => {
      const box = toPicture(canvasOf(group, level, mask, use.window), level);
      return other.parts.some((part) => overlap(box, part));
    });
  for (let merged = true; merged; ) {
    merged = false;
    const kept: Group[] = [];
    for (const group of groups) {
      const other = kept.find((each) => sees(each, group) || sees(group, each));
      if (other) {
        other.parts.push(...group.parts);
        other.start = Math.max(other.start, group.start);
        other.thin &&= group.thin;
        merged = true;
      } else kept.push(group);
    }
    groups = kept;
  }
  return groups;
}

/** The group's parts at this level with context around them, at least as large as a window, within the picture if it can. */
function canvasOf({ parts }: Group, level: number, mask: Mask, window: number): LevelBox {
  const box = atLevel(parts.reduce(union), level);
  const unit = 2 ** level;
  const limits = { width: Math.ceil(mask.width / unit), height: Math.ceil(mask.height / unit) };
  const length = (of: 'width' | 'height') =>
    Math.max(window, Math.min(box[of] + 2 * contextOf(window), limits[of]));
  return centredOn(box, { width: length('width'), height: length('height') }, limits);
}

/** The levels at which a group is filled, from the coarsest to the finest, with the network for each. */
function pyramidOf({ start }: Pick<Group, 'start'>, finest: number, { base, refiner }: PlanOptions) {
  const stages: { level: number; network: Level['network']; use: NetworkUse }[] = [
    { level: start, network: 'base', use: base },
  ];
  if (!refiner) return stages;
  const end = Math.max(finest, start - MAX_DOUBLINGS);
  for (let level = start - 1; level >= end; level--) stages.push({ level, network: 'refiner', use: refiner });
  return stages;
}

function levelsOf(mask: Mask, group: Group, finest: number, options: PlanOptions): Level[] {
  return pyramidOf(group, finest, options).map(({ level, network, use }) => {
    const canvas = canvasOf(group, level, mask, use.window);
    const tiling = { side: use.window, overlap: use.window * OVERLAP[network] };
    const windows = group.parts.flatMap((part) => tile(mask, level, atLevel(part, level), canvas, tiling));
    const few = network === 'base' && group.thin && level === 0;
    const steps = few && use.steps >= 2 * THIN_STEPS ? THIN_STEPS : use.steps;
    return { level, network, canvas, windows: distinct(windows), steps };
  });
}

/** Without repetitions: parts that lie close together can share a window. */
function distinct(windows: readonly LevelBox[]): LevelBox[] {
  const seen = new Map(windows.map((window) => [`${window.left} ${window.top}`, window]));
  return [...seen.values()];
}
