"""The variational bound on the likelihood, in bits per dimension, and the variances of the reverse process.

    -log p(x_0) <= KL(q(x_T | x_0) || p(x_T)) + sum_t E KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) - E log p(x_0 | x_1)

This is the bound of Sohl-Dickstein et al. 2015 (eq. 14) in the form of Ho et al. 2020 (eq. 5). Timesteps count from 0, as
everywhere here: the term of t = 0 is -log p(x_0 | x_1) of the papers.
"""

import math
from collections.abc import Callable

import torch

from diffusion import Schedule, q_sample

HALF_BIN = 1 / 255
"""Half the distance of two 8-bit values that are scaled to -1..1."""


def posterior(schedule: Schedule, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(a, b) of the mean a x_0 + b x_t of q(x_{t-1} | x_t, x_0), each float32 [N, 1, 1, 1] (Ho et al. 2020, eq. 7). t: int64 [N]."""
    now, before = _abars(schedule, t)
    alpha = now / before
    return (before.sqrt() * (1 - alpha) / (1 - now)).float(), (alpha.sqrt() * (1 - before) / (1 - now)).float()


def log_variances(schedule: Schedule, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The logarithms of the two fixed variances of p(x_{t-1} | x_t), each float32 [N, 1, 1, 1] (Ho et al. 2020, section 3.2).

    small: that of q(x_{t-1} | x_t, x_0); large: beta_t. At t = 0 the small one would be 0, so both are the small one of t = 1
    there, as in the authors' code. t: int64 [N].
    """
    small, beta = _variances(schedule, t.clamp(min=1))
    return small.log().float(), torch.where(t.view(-1, 1, 1, 1) == 0, small, beta).log().float()


def interpolated(schedule: Schedule, t: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """The logarithm of a learned variance: between the fixed ones, from small at -1 to beta_t at 1 (Nichol & Dhariwal 2021, eq. 15).

    output: the network's output for each value, [N, C, H, W]. It may exceed -1..1, as in the authors' code.
    """
    small, _ = _variances(schedule, t.clamp(min=1))
    _, beta = _variances(schedule, t)
    share = (output + 1) / 2
    return share * beta.log().float() + (1 - share) * small.log().float()


def _variances(schedule: Schedule, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The variance of q(x_{t-1} | x_t, x_0), and beta_t, each float64 [N, 1, 1, 1]; at least 1e-20, which is beta on the schedule's floor."""
    now, before = _abars(schedule, t)
    beta = (1 - now / before).clamp(min=1e-20)
    return (beta * (1 - before) / (1 - now)).clamp(min=1e-20), beta


def _abars(schedule: Schedule, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """abar_t and abar_{t-1} (1 before t = 0), each float64 [N, 1, 1, 1]."""
    before = torch.where(t > 0, schedule.at((t - 1).clamp(min=0)), 1.0)
    return schedule.at(t).view(-1, 1, 1, 1), before.view(-1, 1, 1, 1)


def gaussian_kl(mean1, log_variance1, mean2, log_variance2) -> torch.Tensor:
    """KL(N(mean1, variance1) || N(mean2, variance2)) of each value, in nats."""
    ratio = log_variance1 - log_variance2
    return 0.5 * (torch.exp(ratio) - 1 - ratio + (mean1 - mean2).square() * torch.exp(-log_variance2))


def density(x0: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """log N(x0; mean, variance) of each value, in nats: for continuous data."""
    return -0.5 * (math.log(2 * math.pi) + log_variance + (x0 - mean).square() * torch.exp(-log_variance))


def discretised(x0: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """The log probability of 8-bit values in nats: the Gaussian's mass within half a bin (Ho et al. 2020, eq. 13).

    x0: 8-bit values scaled to -1..1. The outermost bins reach to infinity.
    """
    sd = torch.exp(0.5 * log_variance)
    above, below = _normal_cdf((x0 - mean + HALF_BIN) / sd), _normal_cdf((x0 - mean - HALF_BIN) / sd)
    mass = torch.where(x0 < -0.999, above, torch.where(x0 > 0.999, 1 - below, above - below))
    return mass.clamp(min=1e-12).log()


def _normal_cdf(z: torch.Tensor) -> torch.Tensor:
    return 0.5 * (1 + torch.erf(z / math.sqrt(2)))


Decoder = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def terms(
    schedule: Schedule, x0: torch.Tensor, x_t: torch.Tensor, t: torch.Tensor, x0_hat: torch.Tensor, log_variance: torch.Tensor, decoder: Decoder
) -> torch.Tensor:
    """The term of timestep t for each value, in nats: float32 [N, C, H, W].

    x0_hat: the network's estimate of x_0, which gives the mean of p(x_{t-1} | x_t); log_variance: that of the same;
    decoder: `discretised` or `density`, for t = 0. t: int64 [N]; the others: [N, C, H, W], or what broadcasts to it.
    """
    a, b = posterior(schedule, t)
    mean = a * x0_hat + b * x_t
    divergence = gaussian_kl(a * x0 + b * x_t, log_variances(schedule, t)[0], mean, log_variance)
    return torch.where(t.view(-1, 1, 1, 1) == 0, -decoder(x0, mean, log_variance), divergence)


def prior_term(schedule: Schedule, x0: torch.Tensor) -> torch.Tensor:
    """KL(q(x_T | x_0) || N(0, I)) of each value, in nats: like x0."""
    abar = float(schedule.abar[-1])
    return gaussian_kl(math.sqrt(abar) * x0, torch.tensor(math.log(1 - abar)), torch.tensor(0.0), torch.tensor(0.0))


Predict = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@torch.no_grad()
def negative_bound(
    predict: Predict, schedule: Schedule, x0: torch.Tensor, draws: int, generator: torch.Generator, decoder: Decoder = discretised
) -> torch.Tensor:
    """An unbiased estimate of minus the bound for each value, in nats: float32 [N, C, H, W].

    predict: a function of x_t and t that returns the estimate of x_0 and the log variance. The term of t = 0 is drawn once for
    each row. The others are drawn `draws` times with probabilities proportional to 1 / (t + 10), stratified, and divided by
    them: the terms of the least noisy timesteps are the largest.
    """
    n, device = len(x0), x0.device

    def term(t: torch.Tensor) -> torch.Tensor:
        eps = torch.randn(x0.shape, generator=generator, dtype=x0.dtype).to(device)
        x_t = q_sample(schedule, x0, t, eps)
        return terms(schedule, x0, x_t, t, *predict(x_t, t), decoder)

    chances = 1 / (torch.arange(1, schedule.T, dtype=torch.float64) + 10)
    chances = chances / chances.sum()
    total = prior_term(schedule, x0) + term(torch.zeros(n, dtype=torch.int64, device=device))
    for draw in range(draws):
        u = (draw + torch.rand(n, generator=generator, dtype=torch.float64)) / draws
        index = torch.searchsorted(chances.cumsum(0), u).clamp(max=schedule.T - 2)
        total = total + term((index + 1).to(device)) / (draws * chances[index].float().view(-1, 1, 1, 1).to(device))
    return total


def bits_per_dimension(nats: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    """The mean of nats [N, C, H, W] over the values of the hole (all without a mask [N, 1, H, W]), in bits."""
    mask = torch.ones_like(nats) if mask is None else mask.expand_as(nats)
    return float((nats.double() * mask).sum() / mask.sum()) / math.log(2)
