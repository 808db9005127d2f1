import math

import pytest
import torch

import diffusion
from losses import Loss

MEAN, SD, N = 0.3, 0.25, 8000


def test_schedules_match_their_closed_forms():
    abar = diffusion.cosine(1000).abar

    def f(u: int) -> float:
        return math.cos((u / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    assert float(abar[499]) == pytest.approx(f(500) / f(0))
    assert float(abar.min()) == 1e-5
    beta = 1 - diffusion.linear(1000).abar[1:] / diffusion.linear(1000).abar[:-1]
    assert float(beta[0]) == pytest.approx(1e-4 + (0.02 - 1e-4) / 999)
    assert float(beta[-1]) == pytest.approx(0.02)


def test_forward_process_keeps_unit_variance():
    s, g = diffusion.cosine(), torch.Generator().manual_seed(0)
    x = diffusion.q_sample(s, torch.randn(4, 3, 64, 64, generator=g), torch.tensor([0, 300, 700, 999]), torch.randn(4, 3, 64, 64, generator=g))
    assert x.var(dim=(1, 2, 3)).tolist() == pytest.approx([1] * 4, abs=0.05)


@pytest.mark.parametrize("kind", ["v", "epsilon", "sample"])
def test_predictions_invert_the_forward_process(kind):
    s, g = diffusion.cosine(), torch.Generator().manual_seed(0)
    x0, eps, t = torch.randn(3, 3, 4, 4, generator=g), torch.randn(3, 3, 4, 4, generator=g), torch.tensor([10, 400, 900])
    x = diffusion.q_sample(s, x0, t, eps)
    out = {"v": diffusion.v_target(s, x0, t, eps), "epsilon": eps, "sample": x0}[kind]
    found, noise = diffusion.to_x0_eps(s, kind, x, t, out)
    assert torch.allclose(found, x0, atol=1e-3) and torch.allclose(noise, eps, atol=1e-3)


def exact_x0(abar: float, x: torch.Tensor) -> torch.Tensor:
    """The optimal estimate of x_0 for data of N(MEAN, SD^2)."""
    return MEAN + math.sqrt(abar) * SD**2 / (abar * SD**2 + 1 - abar) * (x - math.sqrt(abar) * MEAN)


def draw(step) -> torch.Tensor:
    """Samples of N(MEAN, SD^2), float64 [N], drawn with `step(abar, abar_next, x, x0, noise)` over 500 timesteps.

    For this data, the optimal estimate of x_0 is known in closed form.
    """
    s, g = diffusion.cosine(), torch.Generator().manual_seed(1)
    ts = diffusion.timesteps(s, 500)
    abars = [float(s.abar[t]) for t in ts] + [1.0]
    x = torch.randn(N, generator=g, dtype=torch.float64)
    for abar, after in zip(abars, abars[1:], strict=False):
        x = step(abar, after, x, exact_x0(abar, x), torch.randn(N, generator=g, dtype=torch.float64))
    return x


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_samples_gaussian_data(eta):
    x = draw(lambda a, b, x, x0, z: diffusion.ddim_step(a, b, x0, (x - math.sqrt(a) * x0) / math.sqrt(1 - a), eta, z))
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.05 * SD) and float(x.std()) == pytest.approx(SD, rel=0.04)


def test_ddpm_samples_gaussian_data():
    x = draw(diffusion.ddpm_step)
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.05 * SD) and float(x.std()) == pytest.approx(SD, rel=0.04)


def ode_error(steps: int) -> float:
    """Error of x after `steps` steps of DPM-Solver++(2M), evenly spaced in log SNR, on data of N(MEAN, SD^2).

    The exact solution of the probability-flow ODE keeps the standardised x constant.
    """
    abars, last = torch.linspace(-8, 4, steps + 1, dtype=torch.float64).sigmoid().tolist(), None
    start, end = (math.sqrt(a * SD**2 + 1 - a) for a in (abars[0], abars[-1]))
    x = torch.tensor([math.sqrt(abars[0]) * MEAN + start], dtype=torch.float64)
    for abar, after in zip(abars, abars[1:], strict=False):
        x0 = exact_x0(abar, x)
        x, last = diffusion.dpmpp_2m_step(abar, after, x, x0, last), (abar, x0)
    return abs(float(x) - (math.sqrt(abars[-1]) * MEAN + end))


def test_dpmpp_2m_is_of_second_order():
    errors = [ode_error(steps) for steps in (10, 20, 40)]
    assert errors[0] < 0.01
    assert errors[0] > 4 * errors[1] > 16 * errors[2]  # of first order it would fall by half


def test_timesteps_round_halves_up_as_the_service_does():
    assert diffusion.timesteps(diffusion.cosine(), 16)[:4] == [999, 937, 874, 812]  # rounded from 937.5 and 812.5, minus 1
    assert diffusion.timesteps(diffusion.cosine(10), 4) == [9, 7, 4, 2]


def test_timesteps_out_of_range_are_refused():
    for steps in (0, 1001):
        with pytest.raises(ValueError, match="from 1 to 1000"):
            diffusion.timesteps(diffusion.cosine(), steps)
    for final in (-1, 1000):
        with pytest.raises(ValueError, match="from 0 to 999"):
            diffusion.timesteps(diffusion.cosine(), 12, "log_snr", final)
    with pytest.raises(ValueError, match="spacing must be one of leading, "):
        diffusion.timesteps(diffusion.cosine(), 12, "uniform")


def test_loss_covers_only_the_hole():
    s, g = diffusion.cosine(), torch.Generator().manual_seed(0)
    x0, eps, t = torch.randn(2, 3, 8, 8, generator=g), torch.randn(2, 3, 8, 8, generator=g), torch.tensor([100, 800])
    mask = torch.zeros(2, 1, 8, 8)
    mask[:, :, :4] = 1
    right = diffusion.v_target(s, x0, t, eps)
    wrong_outside = torch.where(mask == 1, right, right + 5)
    assert Loss().rows(lambda x, t: wrong_outside, s, x0, mask, t, eps).tolist() == [0, 0]
    snr = s.snr(t)
    expected = (snr.clamp(max=5) / (snr + 1)).tolist()
    assert Loss().rows(lambda x, t: right + 1, s, x0, mask, t, eps).tolist() == pytest.approx(expected, rel=1e-5)
