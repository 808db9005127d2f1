import { scheduleFrom } from '../../diffusion/schedule.ts';
import { timesteps } from '../../diffusion/timesteps.ts';
import { currentRun } from '../state/select.ts';
import type { Frame, ModelInfo, Run, State } from '../state/types.ts';
import { create } from '../view/dom.ts';

/** Pictures in a strip, at most. */
const SHOWN = 16;

export interface Still {
  /** The timestep at which it was drawn; undefined if the service did not say so. */
  t: number | undefined;
  label: string;
  preview: string;
  noisy: string | undefined;
}

/** The timesteps that a run's sampler visited, noisiest first. */
export function visited(run: Run | undefined, model: ModelInfo | undefined): number[] {
  if (!run || !model) return [];
  if (run.visits.length > 0) return run.visits;
  const { spacing, final_timestep } = model.card.sampling ?? { spacing: 'trailing', final_timestep: 0 };
  return timesteps(scheduleFrom(model.card.schedule), run.answer.steps, spacing, final_timestep);
}

/** The previews of the last run, evenly chosen, each with its timestep. */
export function stills(state: State, model: ModelInfo | undefined): Still[] {
  const run = currentRun(state) ?? state.runs[0];
  if (!run) return [];
  const whole = run.answer.plan === undefined;
  const visits = visited(run, model);
  const timed = run.frames.map((frame) => ({
    frame,
    t: frame.timestep ?? (whole ? visitOf(frame, visits) : undefined),
  }));
  // Several candidates take the same step one after the other; the previews are of the first.
  const frames = timed.filter(({ t }, i) => t === undefined || t !== timed[i + 1]?.t);
  const every = Math.max(1, frames.length / SHOWN);
  const chosen = Array.from({ length: Math.min(SHOWN, frames.length) }, (_, i) =>
    Math.min(frames.length - 1, Math.floor((i + 1) * every) - 1),
  );
  return chosen.map((index) => {
    const { frame, t } = frames[Math.max(0, index)];
    const share = Math.round((100 * frame.step) / frame.of);
    return {
      t,
      label: t === undefined ? `${share} %` : `t ${t}`,
      preview: frame.preview,
      noisy: frame.noisy,
    };
  });
}

/** All candidates of a request go through the steps side by side. */
function visitOf({ step, of }: Frame, visits: readonly number[]): number | undefined {
  return visits[Math.min(visits.length - 1, Math.max(0, Math.ceil((step / of) * visits.length) - 1))];
}

/** The strip: x_t above the estimate of x_0, where both are known. */
export function createStrip(shown: readonly Still[], onChoose: (t: number) => void): HTMLElement {
  const figures = shown.map(({ t, label, preview, noisy }) => {
    const rows = noisy ? [create('img', { src: noisy, alt: `x_t at ${label}` })] : [];
    const estimate = create('img', { src: preview, alt: `Estimate of the picture at ${label}` });
    const button = create(
      'button',
      { type: 'button' },
      ...rows,
      estimate,
      create('span', { textContent: label }),
    );
    if (t === undefined) button.ariaDisabled = 'true';
    else button.addEventListener('click', () => onChoose(t));
    return create('li', {}, button);
  });
  return create('ol', { className: 'strip' }, ...figures);
}
