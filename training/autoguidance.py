"""Autoguidance (Karras et al. 2024), learned by the network itself.

A weaker version of a model makes the mistakes of the better one, only larger. So the difference of their predictions points away from
these mistakes: v = v_teacher + weight * (v_teacher - v_guide); the paper's w is 1 + weight.
Sampling with both networks would double the cost of an evaluation.
Instead a network that starts as the teacher learns to predict the guided v (as in the distillation of classifier-free guidance,
Meng et al. 2023). Its targets have no noise, so it needs few steps.
"""

from dataclasses import dataclass

import torch

import diffusion
from losses import over_the_hole


@dataclass(frozen=True)
class Autoguidance:
    """The [autoguidance] section of a config. Raises ValueError for a weight without a meaning.

    teacher, guide: the folders of two exported versions, relative to training/, of which the guide is the weaker one; weight:
    that of the difference of their predictions, above 0.
    """

    teacher: str
    guide: str
    weight: float

    def __post_init__(self):
        if not self.weight > 0:
            raise ValueError(f"[autoguidance] weight must be above 0, not {self.weight}")

    @torch.no_grad()
    def target(self, teacher, guide, seen: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The guided prediction of v, float32 [N, 3, H, W]. teacher and guide map `seen`, a network's input, and t, int64 [N], to v."""
        v, weak = (network(seen, t)[:, :3].float() for network in (teacher, guide))
        return v + self.weight * (v - weak)

    def rows(self, student, teacher, guide, schedule: diffusion.Schedule, final: int, x0, mask, t, eps) -> torch.Tensor:
        """The loss over the hole, one value per row: float32 [N], the squared error of v. Shapes: see losses.Loss.rows.

        t, which is spread evenly over 0..T - 1, is replaced by timesteps that are spread evenly in log SNR from T - 1 down to
        `final`, as those that samplers visit with log_snr.
        """
        t = evenly_in_log_snr(schedule, t, final)
        seen = diffusion.network_input(diffusion.q_sample(schedule, x0, t, eps), x0, mask)
        return over_the_hole((student(seen, t)[:, :3].float() - self.target(teacher, guide, seen, t)) ** 2, mask)


def evenly_in_log_snr(schedule: diffusion.Schedule, t: torch.Tensor, final: int) -> torch.Tensor:
    """The timesteps, int64 [N], whose log SNR divides the range from `final` to T - 1 as t, int64 [N], divides 0..T - 1."""
    levels = diffusion.log_snr(schedule)
    wanted = levels[final] + (levels[-1] - levels[final]) * t.cpu() / (schedule.T - 1)
    return diffusion.at_log_snr(schedule, wanted).to(t.device)
