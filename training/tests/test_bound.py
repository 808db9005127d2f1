"""The variational bound and the losses, on Gaussian data whose exact answers are known, and against diffusers."""

import math

import pytest
import torch
from diffusers import DDPMScheduler

import bound
import diffusion
import train
from losses import Loss

MEAN, SD = 0.2, 0.3


def exact(schedule: diffusion.Schedule, variance: str, sd: float = SD):
    """The exact reverse process of N(MEAN, sd^2) as a `predict` of bound.negative_bound, with the variance of that name."""

    def predict(x, t):
        a, b = diffusion.coefficients(schedule, t)
        total = a**2 * sd**2 + b**2
        x0 = MEAN + a * sd**2 / total * (x - a * MEAN)
        small, large = bound.log_variances(schedule, t)
        if variance == "small":
            return x0, small
        if variance == "large":
            return x0, large
        from_x0, _ = bound.posterior(schedule, t)
        kernel = torch.where(t.view(-1, 1, 1, 1) == 0, 0.0, small.exp())
        return x0, (kernel + from_x0**2 * sd**2 * b**2 / total).log().expand(x.shape)

    return predict


def summed(schedule: diffusion.Schedule, x0: torch.Tensor, predict, g: torch.Generator) -> torch.Tensor:
    """Minus the bound with every timestep, for each value of x0, in nats."""
    total = bound.prior_term(schedule, x0)
    for t in range(schedule.T):
        rows = torch.full((len(x0),), t)
        x = diffusion.q_sample(schedule, x0, rows, torch.randn(x0.shape, generator=g))
        total = total + bound.terms(schedule, x0, x, rows, *predict(x, rows), bound.density)
    return total


def test_the_bound_of_the_exact_reverse_process_is_the_entropy_of_a_gaussian():
    schedule, sd, g = diffusion.cosine(), 0.8, torch.Generator().manual_seed(0)
    x0 = MEAN + sd * torch.randn(2000, 1, 4, 4, generator=g)
    entropy = 0.5 * math.log2(2 * math.pi * math.e * sd**2)
    found = bound.bits_per_dimension(summed(schedule, x0, exact(schedule, "optimal", sd), g))
    assert found == pytest.approx(entropy, rel=0.01)


def test_the_bound_of_8_bit_values_is_their_entropy():
    schedule, g = diffusion.cosine(), torch.Generator().manual_seed(1)
    values = ((MEAN + SD * torch.randn(400, 3, 4, 4, generator=g)).clamp(-1, 1) * 127.5 + 127.5).round()
    grid = (torch.arange(256) / 127.5 - 1).double()
    log_p = bound.discretised(grid, torch.tensor(MEAN, dtype=torch.float64), torch.tensor(2 * math.log(SD), dtype=torch.float64))
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-6)
    entropy = -float(log_p[values.long()].mean()) / math.log(2)
    nats = bound.negative_bound(exact(schedule, "optimal"), schedule, values / 127.5 - 1, 40, g)
    assert bound.bits_per_dimension(nats) == pytest.approx(entropy, rel=0.01)


def test_the_optimal_variance_gives_a_tighter_bound_than_either_fixed_one():
    schedule, g = diffusion.cosine(50), torch.Generator()
    x0 = MEAN + SD * torch.randn(300, 3, 4, 4, generator=g.manual_seed(0))
    bits = {
        name: bound.bits_per_dimension(bound.negative_bound(exact(schedule, name), schedule, x0, 40, g.manual_seed(1), bound.density))
        for name in ("optimal", "small", "large")
    }
    assert bits["optimal"] < min(bits["small"], bits["large"]) - 0.001


def test_the_estimate_over_drawn_timesteps_is_unbiased():
    schedule, g = diffusion.cosine(20), torch.Generator().manual_seed(0)
    x0 = MEAN + SD * torch.randn(2000, 1, 2, 2, generator=g)
    predict = exact(schedule, "optimal")
    every = summed(schedule, x0, predict, g)
    drawn = bound.negative_bound(predict, schedule, x0, 30, g, bound.density)
    assert float(drawn.mean()) == pytest.approx(float(every.mean()), abs=0.01)


@pytest.mark.parametrize("t", [1, 50, 400, 998])
def test_variances_are_those_of_diffusers(t):
    schedule = diffusion.linear()
    theirs = DDPMScheduler(1000, beta_start=1e-4, beta_end=0.02, variance_type="learned_range")
    rows, output = torch.tensor([t]), torch.tensor([-1.0, -0.2, 0.7, 1.4]).view(1, 1, 2, 2)
    expected = theirs._get_variance(t, predicted_variance=output)
    assert torch.allclose(bound.interpolated(schedule, rows, output), expected, rtol=1e-3)
    small, large = bound.log_variances(schedule, rows)
    assert float(small) == pytest.approx(float(theirs._get_variance(t, variance_type="fixed_small").log()), rel=1e-3)
    assert float(large) == pytest.approx(float(theirs._get_variance(t, variance_type="fixed_large").log()), rel=1e-3)


def batch():
    g = torch.Generator().manual_seed(0)
    x0, eps, t = torch.rand(3, 3, 8, 8, generator=g) * 2 - 1, torch.randn(3, 3, 8, 8, generator=g), torch.tensor([5, 400, 900])
    mask = torch.zeros(3, 1, 8, 8)
    mask[:, :, :4] = 1
    return x0, mask, t, eps


@pytest.mark.parametrize("weighting", ["simple", "min_snr"])
def test_a_weighting_means_the_same_whatever_is_predicted(weighting):
    """The same error, made by a network that predicts v and by one that predicts epsilon, has the same loss."""
    schedule = diffusion.cosine()
    x0, mask, t, eps = batch()
    a, b = diffusion.coefficients(schedule, t)
    x_t, x0_hat = a * x0 + b * eps, x0 + 0.1
    out = {"v": (a * x_t - x0_hat) / b, "epsilon": (x_t - a * x0_hat) / b}
    rows = {k: Loss(prediction=k, weighting=weighting).rows(lambda x, t, k=k: out[k], schedule, x0, mask, t, eps) for k in out}
    assert torch.allclose(rows["v"], rows["epsilon"], rtol=2e-3)
    snr = schedule.snr(t)
    assert rows["epsilon"].tolist() == pytest.approx((0.01 * (snr if weighting == "simple" else snr.clamp(max=5))).tolist(), rel=5e-3)


def test_l_hybrid_trains_variances_with_the_bound_and_the_mean_with_l_simple_alone():
    schedule = diffusion.cosine()
    x0, mask, t, eps = batch()
    out = torch.cat([eps + 0.1, torch.zeros_like(eps)], 1).requires_grad_()
    simple, hybrid = (Loss(prediction="epsilon", weighting="simple", vlb_weight=w) for w in (0.0, 0.001))
    (plain,) = torch.autograd.grad(simple.rows(lambda x, t: out, schedule, x0, mask, t, eps).sum(), out)
    (both,) = torch.autograd.grad(hybrid.rows(lambda x, t: out, schedule, x0, mask, t, eps).sum(), out)
    assert torch.equal(plain[:, :3], both[:, :3]) and not plain[:, 3:].any()
    assert both[:, 3:, :4].all() and not both[:, 3:, 4:].any()  # in the hole alone


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"prediction": "x0"}, "prediction"), ({"weighting": "p2"}, "weighting"), ({"prediction": "epsilon", "weight_floor": 0.4}, "weight_floor")],
)
def test_a_loss_without_a_meaning_is_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        Loss(**wrong)


def test_outputs_of_variances_are_added_to_weights_without_them_and_change_no_prediction():
    from unet import UNet, UNetConfig

    size = {"resolution": 16, "channels": (32,), "attention": ()}
    plain, learned = UNet(UNetConfig(**size)), UNet(UNetConfig(**size, out_channels=6))
    for p in plain.parameters():
        torch.nn.init.normal_(p, std=0.05)
    learned.load_state_dict(train.with_variances(plain.state_dict(), learned.state_dict()))
    x, t = torch.randn(2, 4, 16, 16), torch.tensor([3, 700])
    out = learned(x, t)
    assert torch.equal(out[:, :3], plain(x, t)) and not out[:, 3:].any()
