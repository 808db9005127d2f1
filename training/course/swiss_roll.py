"""The diffusion model of 2015 on a swiss roll: Gaussian diffusion with learned mean, covariance and schedule.

    python course/swiss_roll.py         # two minutes on one core; writes docs/course/swiss-roll.png

Sohl-Dickstein, Weiss, Maheswaranathan and Ganguli, "Deep Unsupervised Learning using Nonequilibrium Thermodynamics" (ICML 2015),
section 3.1.1 and appendix D.1.1: 40 timesteps, and a network of radial basis functions whose readout is independent for each
timestep. The figure repeats their figure 1: the forward process, the reverse process, and its drift f_mu(x, t) - x.

The data are points of a spiral with Gaussian noise, so their likelihood is known: the truth is its mean. A bound in bits depends
on the noise, which the paper does not state, so its 2.35 bits are no target here.

Notation: timesteps t = 1..T; t = 0 is the data. x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps.
"""

import math

import torch
from command import finish, optimise, options, plt, progress, save
from torch import nn

T = 40
NOISE = 0.05  # standard deviation of the noise, in units of the data's standard deviation
KNOWN = 0.25  # the first coordinate of the points that are inpainted: a line that crosses the spiral four times
LOG_2PI = math.log(2 * math.pi)


def curve(u: torch.Tensor) -> torch.Tensor:
    """The spiral without noise, [N, 2], for u [N] in 0..1: angle and radius grow from 1.5 pi to 4.5 pi. Mean 0, mean variance 1."""
    grid = _spiral(torch.linspace(0, 1, 10_001, dtype=torch.float64))
    centred = _spiral(u) - grid.mean(0).to(u.dtype)
    return centred / float((grid - grid.mean(0)).square().mean().sqrt())


def _spiral(u: torch.Tensor) -> torch.Tensor:
    angle = 1.5 * math.pi * (1 + 2 * u)
    return torch.stack([angle * angle.cos(), angle * angle.sin()], 1)


def draw(rows: int, generator: torch.Generator) -> torch.Tensor:
    """Points of the swiss roll, float32 [rows, 2]."""
    return curve(torch.rand(rows, generator=generator)) + NOISE * torch.randn(rows, 2, generator=generator)


def log_likelihood(x: torch.Tensor, points: int = 4000) -> torch.Tensor:
    """log p(x) in nats, [N]: the mean of the Gaussians around `points` points of the curve, which lie closer than the noise."""
    centres = curve((torch.arange(points, dtype=torch.float64) + 0.5) / points)
    squares = torch.cdist(x.double(), centres).square()
    return torch.logsumexp(-squares / (2 * NOISE**2), 1) - math.log(points) - LOG_2PI - 2 * math.log(NOISE)


class Model(nn.Module):
    """Forward schedule and reverse process: normalised radial basis functions, shared by all timesteps, and a readout for each."""

    def __init__(self, centres: torch.Tensor):
        super().__init__()
        units = len(centres)
        self.centres = nn.Parameter(centres.clone())
        self.log_widths = nn.Parameter(torch.full((units,), math.log(2 / math.sqrt(units))))
        self.readout = nn.Parameter(torch.zeros(T, units, 4))
        self.log_betas = nn.Parameter(torch.linspace(math.log(0.004), math.log(0.6), T))

    def abar(self) -> torch.Tensor:
        """[T + 1], abar_0 = 1.

        The betas are learned too, with the noise eps held fixed (section 2.4.1: "frozen noise"). The paper leaves beta_1 out.
        """
        betas = torch.exp(self.log_betas).clamp(1e-4, 0.95)
        return torch.cat([torch.ones(1), torch.cumprod(1 - betas, 0)])

    def reverse(self, x: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """f_mu and log f_Sigma of p(x_{t-1} | x_t), each [N, 2]. x: x_t, [N, 2]; t: int64 [N] in 1..T.

        The network estimates x_0 and changes the logarithm of the variance. A readout of 0 is the posterior for x_0 = 0.
        """
        abar = self.abar()
        mean0, mean_x, variance = posterior(abar, t)
        units = torch.softmax(-torch.cdist(x, self.centres).square() / (2 * torch.exp(self.log_widths) ** 2), 1)
        out = torch.einsum("nk,nko->no", units, self.readout[t - 1])
        return mean0 * out[:, :2] + mean_x * x, variance.log() + out[:, 2:]


def posterior(abar: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(a, b, variance) of q(x_{t-1} | x_t, x_0) = N(a x_0 + b x_t, variance), each [N, 1]. abar: [T + 1]; t: int64 [N] in 1..T.

    At t = 1 that is x_0 itself; its variance is then that of t = 2, which gives p(x_0 | x_1) a scale to start from.
    """
    now, before = abar[t][:, None], abar[t - 1][:, None]
    alpha = now / before
    variance = (1 - before) / (1 - now) * (1 - alpha)
    first = (1 - abar[1]) / (1 - abar[2]) * (1 - abar[2] / abar[1])
    return before.sqrt() * (1 - alpha) / (1 - now), alpha.sqrt() * (1 - before) / (1 - now), torch.where(t[:, None] == 1, first, variance)


def terms(model: Model, x0: torch.Tensor, t: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The terms of the bound at t in nats, [N]: KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) (eq. 14), at t = 1 -log p(x_0 | x_1)."""
    abar = model.abar()
    x = abar[t][:, None].sqrt() * x0 + (1 - abar[t][:, None]).sqrt() * torch.randn(x0.shape, generator=generator)
    mean, log_variance = model.reverse(x, t)
    a, b, variance = posterior(abar, t)
    error = (a * x0 + b * x - mean).square()
    divergence = 0.5 * (log_variance - variance.log() - 1 + (variance + error) / log_variance.exp())
    likelihood = 0.5 * (LOG_2PI + log_variance + (x0 - mean).square() / log_variance.exp())
    return torch.where(t[:, None] == 1, likelihood, divergence).sum(1)


def prior_term(model: Model, x0: torch.Tensor) -> torch.Tensor:
    """KL(q(x_T | x_0) || N(0, I)) in nats, [N]."""
    abar = model.abar()[-1]
    return 0.5 * (abar * x0.square() - abar - torch.log1p(-abar)).sum(1)


def negative_bound(model: Model, x0: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Minus the bound on the log likelihood in nats, a scalar: the mean over x0 [N, 2], with one draw of x_t for every t."""
    n = len(x0)
    every = terms(model, x0.repeat(T, 1), torch.arange(1, T + 1).repeat_interleave(n), generator)
    return every.sum() / n + prior_term(model, x0).mean()


def train(steps: int, seed: int, units: int = 64, rows: int = 128) -> Model:
    """A model that maximises the bound. Its centres start on points of the data, noised to some timestep."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Model(draw(units, generator))
    loss = lambda: negative_bound(model, draw(rows, generator), generator)  # noqa: E731
    with progress(steps, "swiss roll") as bar:
        optimise(model.parameters(), loss, steps, bar, lr=0.01, betas=(0.9, 0.99), clip=10.0, bits=1)
    return model.eval()


@torch.no_grad()
def bound(model: Model, draws: int, seed: int = 0) -> float:
    """K, the lower bound on the log likelihood of a point, in bits."""
    generator = torch.Generator().manual_seed(seed)
    parts = [float(negative_bound(model, draw(1000, generator), generator)) for _ in range(max(1, draws // 1000))]
    return -sum(parts) / len(parts) / math.log(2)


@torch.no_grad()
def sample(model: Model, rows: int, seed: int, known: float | None = None, precision: float = 1 / NOISE**2) -> list[torch.Tensor]:
    """[x_T, ..., x_0], each [rows, 2], by ancestral sampling.

    known: the value of the first coordinate. Then each step is multiplied with the factor r_t(x) = N(x; known, 1 / precision)^abar_t
    of that coordinate, and normalised (section 2.5: r may be any function that changes slowly with t).
    """
    generator = torch.Generator().manual_seed(seed)
    abar = model.abar()
    x = torch.randn(rows, 2, generator=generator)
    path = [x]
    for t in range(T, 0, -1):
        mean, log_variance = model.reverse(x, torch.full((rows,), t))
        if known is not None:
            mean, log_variance = multiplied(mean, log_variance, known, torch.tensor([precision, 0.0]) * abar[t - 1])
        x = mean + torch.exp(0.5 * log_variance) * torch.randn(rows, 2, generator=generator)
        path.append(x)
    return path


def multiplied(mean: torch.Tensor, log_variance: torch.Tensor, known: float, precision: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log variance of N(mean, variance) N(known, 1 / precision) / Z: precisions are added, and means weighted with them."""
    both = torch.exp(-log_variance) + precision
    return (mean * torch.exp(-log_variance) + known * precision) / both, -both.log()


def on_the_roll(x: torch.Tensor, sigmas: float = 3.0) -> float:
    """The share of the points x [N, 2] that are nearer to the curve than `sigmas` standard deviations of the noise."""
    distances = torch.cdist(x, curve(torch.linspace(0, 1, 4000))).min(1).values
    return float((distances < sigmas * NOISE).float().mean())


@torch.no_grad()
def draw_figure(model: Model, seed: int, path):
    """Rows: forward process, reverse process, drift; columns: t = 0, T / 2 and T. On the right an inpainting, beside its truth."""
    generator = torch.Generator().manual_seed(seed)
    x0, abar = draw(2000, generator), model.abar()
    reverse, filled = sample(model, 2000, seed), sample(model, 2000, seed, known=KNOWN)
    figure, axes = plt.subplots(3, 4, figsize=(9.5, 7), layout="constrained")
    for column, t in enumerate((0, T // 2, T)):
        noised = abar[t].sqrt() * x0 + (1 - abar[t]).sqrt() * torch.randn(x0.shape, generator=generator)
        _scatter(axes[0, column], noised, f"q(x_t), t = {t}")
        _scatter(axes[1, column], reverse[T - t], f"p(x_t), t = {t}")
        _drift(axes[2, column], model, max(t, 1))
    near = draw(60_000, generator)
    _scatter(axes[0, 3], near[(near[:, 0] - KNOWN).abs() < NOISE], "data where x is known")
    _scatter(axes[1, 3], filled[-1], "x known, y drawn")
    axes[2, 3].plot(range(T + 1), abar)
    axes[2, 3].set_title("learned schedule: abar_t", fontsize=9)
    save(figure, path)


def _scatter(axis, x: torch.Tensor, title: str):
    axis.scatter(x[:, 0], x[:, 1], s=1, color="tab:blue")
    axis.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[])
    axis.set_title(title, fontsize=9)


def _drift(axis, model: Model, t: int):
    grid = torch.cartesian_prod(*[torch.linspace(-2.7, 2.7, 15)] * 2)
    mean, _ = model.reverse(grid, torch.full((len(grid),), t))
    axis.quiver(grid[:, 0], grid[:, 1], *(mean - grid).T, color="tab:red", angles="xy", width=0.006)
    axis.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[])
    axis.set_title(f"f_mu(x, t) - x, t = {t}", fontsize=9)


def main():
    parser = options(__doc__, steps=2_000, figure="swiss-roll.png")
    parser.add_argument("--units", type=int, default=64, help="radial basis functions; the paper has 16 (default: 64)")
    parser.add_argument("--draws", type=int, default=50_000, help="points for the bound (default: 50000)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = train(args.steps, args.seed, args.units)
    draw_figure(model, args.seed, args.figure)
    points = draw(args.draws, torch.Generator().manual_seed(0))
    truth = float(torch.cat([log_likelihood(part) for part in points.split(5000)]).mean()) / math.log(2)
    finish(
        {
            "bound_bits": bound(model, args.draws),
            "truth_bits": truth,
            "on_roll_share": on_the_roll(sample(model, 5000, args.seed)[-1]),
            "inpainted_on_roll_share": on_the_roll(sample(model, 5000, args.seed, known=KNOWN)[-1]),
        }
    )


if __name__ == "__main__":
    main()
