import pytest
import torch

import diffusion
from distil import Distillation

SCHEDULE = diffusion.cosine()
MEAN, SD = 0.2, 0.1


def teacher(x, t):
    """The exact prediction of v for x_0 ~ N(MEAN, SD^2)."""
    a, b = diffusion.coefficients(SCHEDULE, t)
    x0 = MEAN + a * SD**2 / (a**2 * SD**2 + b**2) * (x - a * MEAN)
    return (a * x - x0) / b


def exact(x, abar_t, abar_s):
    """Where the probability-flow ODE takes x_t: the Gaussian of t is scaled and shifted to that of s."""
    ratio = (abar_s * SD**2 + 1 - abar_s) / (abar_t * SD**2 + 1 - abar_t)
    return abar_s**0.5 * MEAN + ratio**0.5 * (x - abar_t**0.5 * MEAN)


def arrival(x, x0, abar_t, abar_s):
    """One DDIM step with eta 0."""
    return abar_s**0.5 * x0 + ((1 - abar_s) / (1 - abar_t)) ** 0.5 * (x - abar_t**0.5 * x0)


@pytest.mark.parametrize("i", [0, 1, 2])
def test_a_step_to_the_target_arrives_where_the_ode_does(i):
    visited = diffusion.timesteps(SCHEDULE, 4)
    abar_t, abar_s = (float(SCHEDULE.abar[t]) for t in visited[i : i + 2])
    x = abar_t**0.5 * MEAN + (abar_t * SD**2 + 1 - abar_t) ** 0.5 * torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = Distillation("", 4, 60, 8).target(teacher, SCHEDULE, "v", x, lambda at: at, i)
    assert torch.allclose(arrival(x, found, abar_t, abar_s), exact(x, abar_t, abar_s), atol=0.01)
    short = Distillation("", 4, 1, 8).target(teacher, SCHEDULE, "v", x, lambda at: at, i)
    rows = torch.full((4,), visited[i])
    assert torch.allclose(short, diffusion.to_x0_eps(SCHEDULE, "v", x, rows, teacher(x, rows))[0], atol=1e-4)  # one evaluation: the teacher's own


def test_the_last_path_ends_at_the_final_timestep_and_the_others_before_the_next_one():
    distillation = Distillation("", 4, 4, 8)
    visited = diffusion.timesteps(SCHEDULE, 4)
    paths = [distillation.path(SCHEDULE, i) for i in range(4)]
    assert [path[0] for path in paths] == visited and all(len(path) == 4 for path in paths)
    assert all(path[-1] > after for path, after in zip(paths, visited[1:], strict=False))
    assert paths[-1][-1] == 8


def test_a_student_that_is_its_teacher_has_no_loss_with_one_evaluation_and_some_with_four():
    x0 = torch.full((8, 3, 8, 8), MEAN)
    mask, t = torch.ones(8, 1, 8, 8), torch.arange(8) * 125
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    visited = []

    def network(seen, t):
        visited.append(t.clone())
        return teacher(seen[:, :3], t)

    rows = [Distillation("", 4, substeps, 249).rows(network, network, SCHEDULE, "v", x0, mask, t, eps) for substeps in (1, 4)]
    assert rows[0].shape == (8,) and float(rows[0].max()) < 1e-6 < float(rows[1].max())
    assert sorted(set(visited[-1].tolist()), reverse=True) == diffusion.timesteps(SCHEDULE, 4)


def test_a_distillation_without_steps_is_an_error():
    with pytest.raises(ValueError, match="steps must be 1 or more"):
        Distillation("", 0, 4, 8)
