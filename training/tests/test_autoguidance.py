import pytest
import torch

import diffusion
from autoguidance import Autoguidance, evenly_in_log_snr

SCHEDULE = diffusion.cosine()
MEAN, SD = 0.2, 0.1


def expert(mean):
    """The exact prediction of v for x_0 ~ N(mean, SD^2)."""

    def network(seen, t):
        a, b = diffusion.coefficients(SCHEDULE, t)
        x = seen[:, :3]
        x0 = mean + a * SD**2 / (a**2 * SD**2 + b**2) * (x - a * mean)
        return (a * x - x0) / b

    return network


def rows(student, weight):
    x0 = torch.full((8, 3, 8, 8), MEAN)
    mask = torch.zeros(8, 1, 8, 8)
    mask[:, :, 2:6, 2:6] = 1
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    t = torch.arange(8) * 125
    return Autoguidance("", "", weight).rows(student, expert(0.3), expert(0.5), SCHEDULE, 8, x0, mask, t, eps)


def test_guidance_takes_the_mistake_of_the_better_model_away():
    """The teacher is wrong by 0.1 and the guide by 0.3, so with weight 0.5 the guided prediction is exact."""
    assert float(rows(expert(MEAN), 0.5).max()) < 1e-8
    for wrong in (expert(0.3), expert(0.5), expert(0.1)):
        assert float(rows(wrong, 0.5).min()) > 1e-8
    assert float(rows(expert(0.1), 1.0).max()) < 1e-8  # too much guidance: the opposite mistake


def test_the_loss_covers_the_hole_alone():
    def wrong_outside(seen, t):
        return expert(MEAN)(seen, t) + 9 * (1 - seen[:, 3:4])

    assert float(rows(wrong_outside, 0.5).max()) < 1e-8


def test_timesteps_are_spread_evenly_in_log_snr_down_to_the_final_one():
    found = evenly_in_log_snr(SCHEDULE, torch.arange(1000), 8)
    assert (found[0], found[-1]) == (8, 999)
    levels = (SCHEDULE.abar / (1 - SCHEDULE.abar)).log()
    even = torch.linspace(float(levels[8]), float(levels[-1]), 1000)
    assert float((levels[found] - even).abs().max()) < 0.4  # half the widest gap between timesteps
    visited = diffusion.timesteps(SCHEDULE, 12, "log_snr", 8)
    assert evenly_in_log_snr(SCHEDULE, torch.tensor([999 - i * 999 // 11 for i in range(12)]), 8).tolist() == pytest.approx(visited, abs=3)


@pytest.mark.parametrize("weight", [0, -1, float("nan")])
def test_a_weight_that_guides_nowhere_is_an_error(weight):
    with pytest.raises(ValueError, match="weight must be above 0"):
        Autoguidance("", "", weight)
