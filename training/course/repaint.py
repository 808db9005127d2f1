"""RePaint on pairs of Gaussian numbers: what resampling is for, and why the order of its steps matters.

    python course/repaint.py            # seconds on one core; writes docs/course/repaint.png

Lugmayr et al., "RePaint: Inpainting using Denoising Diffusion Probabilistic Models" (CVPR 2022). The data are pairs (a, b) with unit
variance and correlation 0.9, so the exact prediction is known and nothing is trained. a = 1 is known, b is the hole: its
distribution is N(0.9, 0.19). Three plans with as many evaluations are compared: DDPM without resampling; the published plan,
which repeats every stretch of steps but the first; and one that repeats every stretch but the last.
"""

import numpy as np
import torch
from command import finish, options, plt, progress, save

import diffusion
from importing.source import RESAMPLING, STEPS

CORRELATION = 0.9
KNOWN = 1.0
MEAN, VARIANCE = CORRELATION * KNOWN, 1 - CORRELATION**2
JUMP, TIMES = RESAMPLING["jump"], RESAMPLING["times"]
NAMES = {"plain": "no resampling", "published": "every stretch but the first", "reversed": "every stretch but the last"}


def published(steps: int, jump: int, times: int) -> list[int]:
    """The levels, steps - 1 being the noisiest, in the order of the published code (get_schedule_jump): as repaintPlan in
    src/generation/trajectories/repaint.ts, which counts from the noisy end."""
    left = {level: times - 1 for level in range(0, steps - jump, jump)}
    plan, level = [], steps - 1
    while level >= 0:
        if left.get(level, 0) > 0:
            left[level] -= 1
            level += jump
        else:
            plan.append(level)
            level -= 1
    return plan


def reversed_plan(steps: int, jump: int, times: int) -> list[int]:
    """Every stretch of `jump` levels from the noisy end is taken `times` times, except for the last."""
    stretches = [list(range(top, max(top - jump, -1), -1)) for top in range(steps - 1, -1, -jump)]
    return [level for i, stretch in enumerate(stretches) for _ in range(times if i < len(stretches) - 1 else 1) for level in stretch]


def x0_of(abar: float, x: torch.Tensor) -> torch.Tensor:
    """E[x_0 | x_t], exactly: sqrt(abar) S (abar S + (1 - abar) I)^-1 x_t with the covariance S of the pairs. x: [N, 2]."""
    covariance = torch.tensor([[1, CORRELATION], [CORRELATION, 1]], dtype=x.dtype)
    return x @ torch.linalg.inv(abar * covariance + (1 - abar) * torch.eye(2, dtype=x.dtype)) @ covariance * abar**0.5


def fill(plan: list[int], rows: int, seed: int, bar) -> torch.Tensor:
    """b of `rows` pairs whose a is KNOWN: algorithm 1 of the paper with DDPM steps, float64 [rows].

    plan: the level of each evaluation, from the noisiest one. Where the next level is no lower, x is noised back to it.
    """
    schedule, generator = diffusion.linear(), torch.Generator().manual_seed(seed)
    visited = diffusion.timesteps(schedule, plan[0] + 1)[::-1]
    abars = [1.0, *(float(schedule.abar[t]) for t in visited)]  # at level + 1; 1 is the result

    def noise() -> torch.Tensor:
        return torch.randn(rows, 2, generator=generator, dtype=torch.float64)

    x = noise()
    for i, level in enumerate(plan):
        here, below = abars[level + 1], abars[level]
        x = diffusion.ddpm_step(here, below, x, x0_of(here, x), noise())
        x[:, 0] = below**0.5 * KNOWN + (1 - below) ** 0.5 * noise()[:, 0]
        back = plan[i + 1] if i + 1 < len(plan) else -1
        if back >= level:
            kept = abars[back + 1] / below
            x = kept**0.5 * x + (1 - kept) ** 0.5 * noise()
        bar.update()
    return x[:, 1]


def draw(plans: dict[str, list[int]], found: dict[str, torch.Tensor], path):
    """The levels in the order of their evaluations, and histograms of b with the true density."""
    figure, axes = plt.subplots(2, len(plans), figsize=(3.4 * len(plans), 5), layout="constrained", sharey="row")
    at = np.linspace(-1, 2.5, 200)
    for (above, below), name in zip(axes.T, plans, strict=True):
        above.plot(plans[name], lw=0.8)
        above.set(title=NAMES[name], xlabel="evaluation")
        below.hist(found[name].numpy(), 60, range=(-1, 2.5), density=True, alpha=0.5)
        below.plot(at, np.exp(-((at - MEAN) ** 2) / (2 * VARIANCE)) / np.sqrt(2 * np.pi * VARIANCE), "k", lw=1)
        below.set(xlabel=f"b: mean {float(found[name].mean()):.2f}, variance {float(found[name].var()):.2f}")
    axes[0, 0].set_ylabel("level, 0 is the last step")
    axes[1, 0].set_ylabel(f"density; line: N({MEAN:.1f}, {VARIANCE:.2f})")
    save(figure, path)


def main():
    parser = options(__doc__, steps=STEPS, figure="repaint.png", of="sampling")
    parser.add_argument("--samples", type=int, default=20_000, help="pairs for each plan (default: 20000)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    resampled = published(args.steps, JUMP, TIMES)
    plain = list(reversed(range(len(resampled))))
    plans = {"plain": plain, "published": resampled, "reversed": reversed_plan(args.steps, JUMP, TIMES)}
    with progress(sum(map(len, plans.values())), "repaint") as bar:
        found = {name: fill(plan, args.samples, args.seed, bar) for name, plan in plans.items()}
    draw(plans, found, args.figure)
    scores = {name: {"evaluations": len(plans[name]), "mean": float(b.mean()), "variance": float(b.var())} for name, b in found.items()}
    finish({**scores, "truth": {"mean": MEAN, "variance": VARIANCE}})


if __name__ == "__main__":
    main()
