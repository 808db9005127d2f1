import type { Level, Plan } from './plan.ts';

/** Levels of a plan that are filled side by side: of the same depth, in as many steps. */
export interface PlannedStage {
  network: Level['network'];
  steps: number;
  /** `region`: its index. */
  levels: { region: number; level: Level }[];
}

/** All first levels together, those that take few steps before the others, then all second ones, and so on. */
export function stagesOf({ regions }: Plan): PlannedStage[] {
  const stages: PlannedStage[] = [];
  const most = regions.reduce((count, { levels }) => Math.max(count, levels.length), 0);
  for (let depth = 0; depth < most; depth++) {
    const bySteps = new Map<number, PlannedStage>();
    for (const [region, { levels }] of regions.entries()) {
      const level = levels[depth];
      if (!level) continue;
      const { network, steps } = level;
      const stage = bySteps.get(steps) ?? { network, steps, levels: [] };
      bySteps.set(steps, stage);
      stage.levels.push({ region, level });
    }
    stages.push(...[...bySteps.values()].sort((a, b) => a.steps - b.steps));
  }
  return stages;
}
