"""The maths of the course, on closed forms, and its commands, on tiny runs."""

import json
import math
import subprocess
import sys
from pathlib import Path

import ablation
import brightness
import eight_gaussians
import guidance
import heartbeat
import pytest
import repaint
import swiss_roll
import torch
from command import BumpReadout, progress

HERE = Path(__file__).parent.parent
MODEL = HERE.parent / "models" / "celeba-inpaint-64" / "3"


def command(name: str, tmp_path: Path, *options: str) -> dict:
    """Run a command of the course, and return its last line as JSON. Its figure must exist."""
    figure = tmp_path / "figure.png"
    run = subprocess.run([sys.executable, f"course/{name}", *options, "--figure", figure], cwd=HERE, check=True, capture_output=True, text=True)
    assert figure.stat().st_size > 5_000 and "step" in run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_the_help_says_what_the_steps_are(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["repaint.py", "--help"])
    with pytest.raises(SystemExit):
        repaint.main()
    assert f"sampling steps (default: {repaint.STEPS})" in capsys.readouterr().out


def test_repaint_comes_closest_to_the_truth_with_the_published_plan():
    steps, jump, times = repaint.STEPS, repaint.JUMP, repaint.TIMES
    # The published get_schedule_jump(6, 2, 2) visits 5 4 3 2 3 4 3 2 1 0 1 2 1 0; a level is evaluated where the next one is lower.
    assert repaint.published(6, 2, 2) == [5, 4, 3, 4, 3, 2, 1, 2, 1, 0]
    assert repaint.reversed_plan(6, 2, 2) == [5, 4, 5, 4, 3, 2, 3, 2, 1, 0]
    plans = {name: getattr(repaint, name)(steps, jump, times) for name in ("published", "reversed_plan")}
    assert {len(plan) for plan in plans.values()} == {140}
    with progress(280, "repaint") as bar:
        found = {name: repaint.fill(plan, 20_000, 1, bar) for name, plan in plans.items()}
    scores = {name: (float(b.mean()), float(b.var())) for name, b in found.items()}
    assert scores["published"] == pytest.approx((0.782, 0.196), abs=0.015)
    assert scores["reversed_plan"] == pytest.approx((0.715, 0.241), abs=0.015)


class ExactHeartbeat(heartbeat.Reverse):
    """The reverse process of the heartbeat in closed form: the posterior over the five sequences."""

    def rates(self, x, t):
        rate = heartbeat.abar(t)[:, None, None] * heartbeat.SEQUENCES + (1 - heartbeat.abar(t)[:, None, None]) * heartbeat.RATE
        log_p = torch.where(x[:, None] == 1, rate, 1 - rate).clamp(min=1e-30).log().sum(2)
        one = torch.softmax(log_p, 1) @ heartbeat.SEQUENCES
        return one * heartbeat.posterior(x, t, 1.0) + (1 - one) * heartbeat.posterior(x, t, 0.0)


def test_the_binomial_posterior_is_that_of_the_kernels():
    t, generator = torch.full((200_000,), 40.0), torch.Generator().manual_seed(0)
    x0 = heartbeat.draw(len(t), generator)
    before = heartbeat.noised(x0, t - 1, generator)
    beta = float(1 - heartbeat.abar(t[0]) / heartbeat.abar(t[0] - 1))
    assert beta == pytest.approx(1 / (heartbeat.T - 40 + 1), rel=1e-4)
    x = (torch.rand(x0.shape, generator=generator) < before * (1 - beta) + heartbeat.RATE * beta).float()
    assert float(x.mean()) == pytest.approx(float(heartbeat.noised(x0, t, generator).mean()), abs=1e-3)
    for bit in (0, 1):
        for now in (0, 1):
            rows = (x0 == bit) & (x == now)
            assert float(before[rows].mean()) == pytest.approx(float(heartbeat.posterior(x, t, bit)[rows][0]), abs=2e-3)


def test_the_exact_reverse_process_reaches_the_entropy_of_the_heartbeat():
    bound = heartbeat.bound(ExactHeartbeat(), draws=500)
    assert -2.40 < bound < math.log2(1 / 5) + 0.01
    assert float(heartbeat.valid(heartbeat.sample(ExactHeartbeat(), 500, seed=0)[-1]).float().mean()) > 0.99


def test_an_untrained_bound_is_far_below_and_never_above_the_truth():
    torch.manual_seed(0)
    assert heartbeat.bound(heartbeat.Reverse(), draws=50) < -10


def test_known_bits_stay_and_the_product_of_two_bernoulli_factors_is_normalised():
    known = torch.full((heartbeat.BITS,), torch.nan)
    known[:2] = torch.tensor([0.0, 1.0])
    rates = heartbeat.multiplied(torch.full((3, heartbeat.BITS), 0.3), known)
    assert rates[0, :3].tolist() == pytest.approx([0, 1, 0.3])
    x, share = heartbeat.inpainted(ExactHeartbeat(), 300, seed=0, bits=10)
    assert share > 0.97 and (x[:, :10] == heartbeat.SEQUENCES[4][:10]).all()


def test_the_bumps_of_a_readout_sum_to_one_and_move_with_t():
    readout = BumpReadout(3, 2, T=100)
    z, t = torch.randn(2, 3), torch.tensor([0.0, 100.0])
    weights = readout.readouts.weight.detach().view(10, 2, 3)
    bias = readout.readouts.bias.detach().view(10, 2)
    found = readout(z, t)
    for row, bump in ((0, 0), (1, 9)):
        near = z[row] @ weights[bump].T + bias[bump]
        assert (found[row] - near).abs().max() < 0.5 * (z[row] @ weights[5].T + bias[5] - near).abs().max() + 0.1
    torch.nn.init.zeros_(readout.readouts.weight)
    torch.nn.init.ones_(readout.readouts.bias)
    assert readout(z, t).flatten().tolist() == pytest.approx([1] * 4)


def test_the_swiss_roll_has_unit_variance_and_the_density_that_its_samples_have():
    x = swiss_roll.draw(50_000, torch.Generator().manual_seed(0))
    assert x.mean(0).tolist() == pytest.approx([0, 0], abs=0.02) and float(x.var(0).mean()) == pytest.approx(1, abs=0.02)
    grid = torch.cartesian_prod(*[torch.arange(-3, 3, 0.02)] * 2)
    assert float(swiss_roll.log_likelihood(grid).exp().sum()) * 0.02**2 == pytest.approx(1, abs=0.01)


def test_the_bound_of_an_untrained_gaussian_model_is_that_of_its_marginal():
    """A readout of 0 predicts x_0 = 0, so the model is a wide Gaussian: the bound is finite and far below the truth."""
    torch.manual_seed(0)
    model = swiss_roll.Model(swiss_roll.draw(8, torch.Generator().manual_seed(0)))
    assert swiss_roll.bound(model, 2000) < -10
    abar = model.abar().detach()
    a, b, variance = swiss_roll.posterior(abar, torch.tensor([20]))
    x0, x = torch.tensor(0.7), torch.tensor(-0.4)
    kernel = abar[20] / abar[19]  # by Bayes' rule: q(x_t | x_{t-1}) q(x_{t-1} | x_0)
    precision = kernel / (1 - kernel) + 1 / (1 - abar[19])
    mean = (kernel.sqrt() * x / (1 - kernel) + abar[19].sqrt() * x0 / (1 - abar[19])) / precision
    assert float(a * x0 + b * x) == pytest.approx(float(mean), abs=1e-5) and float(variance) == pytest.approx(float(1 / precision), rel=1e-4)


def test_the_product_of_two_gaussians_is_that_of_their_densities():
    mean, log_variance = swiss_roll.multiplied(torch.tensor([0.2]), torch.tensor([math.log(0.3)]), 0.9, torch.tensor([5.0]))
    x = torch.arange(-4, 4, 0.001)
    product = torch.exp(-((x - 0.2) ** 2) / 0.6 - 5 * (x - 0.9) ** 2 / 2)
    expected = float((product * x).sum() / product.sum())
    assert float(mean) == pytest.approx(expected, abs=1e-3)
    assert float(log_variance.exp()) == pytest.approx(float((product * (x - expected) ** 2).sum() / product.sum()), rel=1e-3)


def test_the_four_models_have_equally_many_parameters():
    sizes = [sum(p.numel() for p in kind().parameters()) for kind in eight_gaussians.MODELS.values()]
    assert max(sizes) < 1.06 * min(sizes)


def test_the_flow_is_inverted_exactly_and_its_density_integrates_to_one():
    torch.manual_seed(0)
    flow = eight_gaussians.Flow()
    grid = torch.cartesian_prod(*[torch.arange(-8, 8, 0.05)] * 2)
    with torch.no_grad():
        assert float(flow.log_likelihood(grid).exp().sum()) * 0.05**2 == pytest.approx(1, abs=0.01)
        x = flow.sample(100_000)
        entropy = -float(flow.log_likelihood(x).mean())
        near = torch.histogramdd(x, 40, range=[-4, 4, -4, 4]).hist / len(x)  # a second estimate, from the samples alone
    assert entropy == pytest.approx(-float(torch.xlogy(near, near / 0.2**2).sum()), abs=0.05)


def test_modes_and_stray_points_of_the_data_and_of_a_collapsed_generator():
    torch.manual_seed(0)
    modes, stray = eight_gaussians.modes_and_stray(eight_gaussians.draw(20_000))
    assert modes == 8 and stray == pytest.approx(math.exp(-8), abs=5e-4)
    one = eight_gaussians.CENTRES[:1] + 0.1 * torch.randn(1000, 2)
    assert eight_gaussians.modes_and_stray(torch.cat([one, torch.zeros(1000, 2)])) == (1, pytest.approx(0.5, abs=0.01))


def test_guidance_of_scale_0_is_plain_sampling_and_the_shift_is_the_gradient_of_the_classifier():
    torch.manual_seed(0)
    model = eight_gaussians.Diffusion(T=20)
    with torch.no_grad():
        torch.manual_seed(3)
        plain = model.sample(50)

    def linear(x, t):
        """log p(0 | x) = 2 x_1 - 3 x_2, whose gradient is (2, -3)."""
        return x @ torch.tensor([[2.0], [-3.0]])

    x, t = torch.randn(5, 2), torch.zeros(5, dtype=torch.int64)
    assert torch.equal(guidance.gradient(linear, x, t, 0), torch.tensor([[2.0, -3.0]]).expand(5, 2))
    assert torch.equal(guidance.guided(model, linear, 0, 0.0, 50, seed=3), plain)
    assert not torch.equal(guidance.guided(model, linear, 0, 1.0, 50, seed=3), plain)


def test_a_classifier_that_prefers_bright_pictures_makes_them_brighter():
    model = brightness.Denoiser(MODEL, threads=1)

    def likes_bright(x, t):
        """log p(2 | x) grows with the mean of x."""
        return 50 * x.mean((1, 2, 3))[:, None].expand(-1, 3)

    drawn = [model.guided(likes_bright, 2, scale, 2, 3, 7, progress(0, "")) for scale in (0.0, 50.0)]
    dim, bright = (brightness.brightness(faces) for faces in drawn)
    assert drawn[0].shape == (2, 64, 64, 3) and (bright > dim + 20).all()


def test_an_ablation_claims_only_what_exceeds_twice_the_spread():
    runs = {
        "first": [{"validation": 1.0, "x0_error": 0.2}, {"validation": 1.2, "x0_error": 0.4}],
        "second": [{"validation": 0.8, "x0_error": 0.2}, {"validation": 0.8, "x0_error": 0.4}],
    }
    found = ablation.compared(runs)
    assert found["spread"] == pytest.approx({"validation": 0.1, "x0_error": 0.02**0.5})
    assert found["first"]["validation"] == pytest.approx(1.1) and found["first"]["claim"] == []
    assert found["second"]["claim"] == ["validation"]


@pytest.mark.parametrize(
    ("name", "options", "keys"),
    [
        ("heartbeat.py", ["--steps", "20", "--draws", "5"], {"bound_bits", "valid_share"}),
        ("swiss_roll.py", ["--steps", "5", "--draws", "1000", "--units", "8"], {"bound_bits", "truth_bits"}),
        ("guidance.py", ["--steps", "5", "--samples", "100"], {"0", "1", "4"}),
        ("repaint.py", ["--steps", "12", "--samples", "500"], {"plain", "published", "reversed", "truth"}),
        ("eight_gaussians.py", ["--steps", "5", "--seeds", "1", "--samples", "500"], {"gan", "vae", "flow", "diffusion"}),
    ],
)
def test_a_command_ends_with_one_line_of_json(name, options, keys, tmp_path):
    result = command(name, tmp_path, *options)
    assert keys <= result.keys()
    if name == "eight_gaussians.py":
        assert result["gan"]["log_likelihood"] is None
        assert all({"modes", "stray", "log_likelihood"} <= result[model].keys() for model in keys)
