"""Distillation: a student that needs few evaluations, because each covers several of its teacher's (Salimans & Ho 2022).

The student visits `steps` timesteps, with DDIM and eta 0, in trailing spacing. From each it learns where its teacher arrives
at the next one after `substeps` evaluations. Here one distillation goes from steps * substeps evaluations to `steps` directly,
instead of halving them several times.
"""

from dataclasses import dataclass

import torch

import diffusion
from losses import over_the_hole


@dataclass(frozen=True)
class Distillation:
    """The [distil] section of a config. Raises ValueError for values without a meaning.

    teacher: the folder of an exported version, relative to training/; steps: evaluations of the student; substeps:
    evaluations of the teacher for each of them; final: the teacher's last timestep, 0..T - 1.
    """

    teacher: str
    steps: int
    substeps: int
    final: int

    def __post_init__(self):
        for name in ("steps", "substeps"):
            if getattr(self, name) < 1:
                raise ValueError(f"[distil] {name} must be 1 or more, not {getattr(self, name)}")

    def path(self, schedule: diffusion.Schedule, i: int) -> list[int]:
        """The teacher's timesteps from the student's i-th timestep on, decreasing: uniform in log SNR, without the next one of the student.

        The last path ends at `final`, where the teacher's estimate of x_0 is a sharp picture. Fewer than `substeps` where
        the timesteps are too close.
        """
        visited = diffusion.timesteps(schedule, self.steps)
        t, last = visited[i], i == self.steps - 1
        levels = diffusion.log_snr(schedule)
        end = levels[self.final if last else visited[i + 1]]
        parts = self.substeps - 1 if last else self.substeps
        between = levels[t] + (end - levels[t]) * torch.arange(1, self.substeps) / parts
        return sorted({t, *diffusion.at_log_snr(schedule, between).tolist()}, reverse=True)

    @torch.no_grad()
    def target(self, teacher, schedule: diffusion.Schedule, prediction: str, x: torch.Tensor, seen, i: int) -> torch.Tensor:
        """The x_0 [N, 3, H, W] for which one DDIM step of the student arrives where the teacher does.

        x: x_t at the student's i-th timestep t, [N, 3, H, W]. teacher: maps (seen(x_t), t) to the prediction; seen: a function that
        makes the network's input of x_t. The DDIM step x_s = sqrt(abar_s) x_0 + sqrt((1 - abar_s) / (1 - abar_t)) (x_t - sqrt(abar_t) x_0) is
        solved for x_0.
        """
        visited = diffusion.timesteps(schedule, self.steps)
        path, s = self.path(schedule, i), visited[i + 1] if i + 1 < self.steps else None
        abars = [float(schedule.abar[t]) for t in path] + [1.0 if s is None else float(schedule.abar[s])]
        at = x
        for k, t in enumerate(path):
            rows = torch.full((len(at),), t, device=at.device)
            x0, _ = diffusion.to_x0_eps(schedule, prediction, at, rows, teacher(seen(at), rows)[:, :3].float())
            x0 = x0.clamp(-1, 1)
            a, b = diffusion.coefficients(schedule, rows)
            at = diffusion.ddim_step(abars[k], abars[k + 1], x0, (at - a * x0) / b, 0.0, at)
        ratio = ((1 - abars[-1]) / (1 - abars[0])) ** 0.5
        return (at - ratio * x) / (abars[-1] ** 0.5 - ratio * abars[0] ** 0.5)

    def rows(self, student, teacher, schedule: diffusion.Schedule, prediction: str, x0, mask, t, eps) -> torch.Tensor:
        """The loss over the hole, one value per row: float32 [N], the squared error of v.

        Rows are taken to the student's timestep of their stratum: t * steps / T. Shapes: see losses.Loss.rows.
        """
        visited = diffusion.timesteps(schedule, self.steps)
        stratum = (self.steps - 1 - t * self.steps // schedule.T).clamp(0, self.steps - 1)
        t = torch.tensor(visited, device=t.device)[stratum]
        x = diffusion.q_sample(schedule, x0, t, eps)
        seen = lambda part: lambda at: diffusion.network_input(at, x0[part], mask[part])  # noqa: E731
        target = torch.empty_like(x0)
        for i in stratum.unique().tolist():
            part = stratum == i
            target[part] = self.target(teacher, schedule, prediction, x[part], seen(part), i)
        predicted = student(diffusion.network_input(x, x0, mask), t)[:, :3].float()
        a, b = diffusion.coefficients(schedule, t)
        return over_the_hole((diffusion.to_x0_eps(schedule, prediction, x, t, predicted)[0] - target) ** 2 / b**2, mask)
