"""The diffusion model of 2015 on the binary heartbeat: binomial diffusion, the variational bound, and inpainting.

    python course/heartbeat.py          # a minute or two on one core; writes docs/course/heartbeat.png

The data are sequences of 20 bits in which every fifth bit is 1: five sequences, equally likely, so the log likelihood of a
perfect model is log2(1/5) = -2.322 bits. Sohl-Dickstein, Weiss, Maheswaranathan and Ganguli, "Deep Unsupervised Learning using
Nonequilibrium Thermodynamics" (ICML 2015), reach -2.414 (table 1).

Notation: timesteps t = 1..T; t = 0 is the data. A bit of x_t is 1 with probability abar_t x_0 + (1 - abar_t) RATE.
"""

import math

import torch
from command import BumpReadout, finish, optimise, options, plt, progress, save
from torch import nn

BITS, PERIOD = 20, 5
RATE = 1 / PERIOD  # of ones, in the data and in the noise: the prior is an independent binomial with the data's mean
T = 200
SEQUENCES = torch.tensor([[float(i % PERIOD == phase) for i in range(BITS)] for phase in range(PERIOD)])


def abar(t: torch.Tensor) -> torch.Tensor:
    """The share of the signal at t: 1 - t / T, from beta_t = 1 / (T - t + 1) (section 2.4.1, for binomial diffusion)."""
    return 1 - t / T


def noised(x0: torch.Tensor, t: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A draw from q(x_t | x_0), [N, BITS].

    Its kernel is q(x_t | x_{t-1}) = B(x_{t-1} (1 - beta_t) + RATE beta_t), which is that of table App.1 for a RATE of 0.5.
    """
    rate = abar(t)[:, None] * x0 + (1 - abar(t)[:, None]) * RATE
    return (torch.rand(x0.shape, generator=generator) < rate).float()


def posterior(x: torch.Tensor, t: torch.Tensor, bit: float) -> torch.Tensor:
    """q(x_{t-1} = 1 | x_t, x_0 = bit) of each bit, [N, BITS], by Bayes' rule: q(x_t | x_{t-1}) q(x_{t-1} | x_0), normalised."""
    before = abar(t - 1)[:, None]
    beta = 1 - abar(t)[:, None] / before
    prior = before * bit + (1 - before) * RATE
    if_one = torch.where(x == 1, 1 - beta + RATE * beta, (1 - RATE) * beta) * prior
    if_zero = torch.where(x == 1, RATE * beta, 1 - RATE * beta) * (1 - prior)
    return if_one / (if_one + if_zero).clamp(min=1e-12)


class Reverse(nn.Module):
    """The reverse process p(x_{t-1} | x_t) = prod_i B(f_b(x_t, t)_i): a multilayer perceptron with a bump readout.

    The network gives the probability that each bit of x_0 is 1. f_b follows as the mean of the two posteriors: any f_b that is
    independent for each bit and optimal has this form, and the network need not learn the part that is known.
    """

    def __init__(self, hidden: int = 128):
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(BITS, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.readout = BumpReadout(hidden, BITS, T)

    def rates(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """f_b: the probability of 1 for each bit of x_{t-1}. x: x_t, [N, BITS] of 0 and 1; t: float [N] in 1..T."""
        one = torch.sigmoid(self.readout(self.shared(x - RATE), t))
        return one * posterior(x, t, 1.0) + (1 - one) * posterior(x, t, 0.0)


def divergence(q: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """KL(B(q) || B(p)) in nats, summed over the bits: [N]."""
    p = p.clamp(1e-7, 1 - 1e-7)
    entropy = torch.xlogy(q, q) + torch.xlogy(1 - q, 1 - q)
    return (entropy - q * p.log() - (1 - q) * (1 - p).log()).sum(1)


def terms(model: Reverse, x0: torch.Tensor, t: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) in nats, [N]: the term of timestep t in the bound (eq. 14).

    q(x_0 | x_1, x_0) is x_0 itself, so at t = 1 this is -log p(x_0 | x_1). The term of the prior is 0, because abar_T = 0.
    """
    x = noised(x0, t, generator)
    q = torch.where(x0 == 1, posterior(x, t, 1.0), posterior(x, t, 0.0))
    return divergence(q, model.rates(x, t))


def draw(rows: int, generator: torch.Generator) -> torch.Tensor:
    """Sequences of the data, [rows, BITS]."""
    return SEQUENCES[torch.randint(PERIOD, (rows,), generator=generator)]


def train(steps: int, seed: int, rows: int = 512) -> Reverse:
    """A reverse process that maximises the bound, with timesteps stratified over the rows of each batch."""
    torch.manual_seed(seed)
    model, generator = Reverse(), torch.Generator().manual_seed(seed)

    def loss() -> torch.Tensor:
        t = 1 + torch.floor((torch.arange(rows) + torch.rand(rows, generator=generator)) * T / rows).clamp(max=T - 1)
        return terms(model, draw(rows, generator), t, generator).mean()

    with progress(steps, "heartbeat") as bar:
        optimise(model.parameters(), loss, steps, bar, lr=2e-3, clip=1.0, bits=T)
    return model.eval()


@torch.no_grad()
def bound(model: Reverse, draws: int, seed: int = 0) -> float:
    """K, the lower bound on the log likelihood of a sequence, in bits: minus the sum of `terms` over t, each a mean of `draws`."""
    generator = torch.Generator().manual_seed(seed)
    total = 0.0
    for t in range(1, T + 1):
        total += float(terms(model, draw(draws, generator), torch.full((draws,), float(t)), generator).double().mean())
    return -total / math.log(2)


@torch.no_grad()
def sample(model: Reverse, rows: int, seed: int, known: torch.Tensor | None = None) -> list[torch.Tensor]:
    """[x_T, ..., x_0], each [rows, BITS], by ancestral sampling.

    known: [BITS], 0 or 1 where a bit is known, nan elsewhere. Then every distribution is multiplied with the factor r of the known
    bits, which is 1 for their value and 0 for the other, and normalised (section 2.5, with r the same at every t).
    """
    generator = torch.Generator().manual_seed(seed)
    unknown = torch.full((BITS,), torch.nan) if known is None else known
    x = (torch.rand(rows, BITS, generator=generator) < multiplied(torch.tensor(RATE), unknown)).float()
    path = [x]
    for t in range(T, 0, -1):
        rates = multiplied(model.rates(x, torch.full((rows,), float(t))), unknown)
        x = (torch.rand(rows, BITS, generator=generator) < rates).float()
        path.append(x)
    return path


def multiplied(rates: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """The rates of B(rates) r / Z: r(x) is 1 for the known value of a bit and 0 for the other, or 1 for both where known is nan."""
    one, zero = rates.clamp(1e-7, 1 - 1e-7) * (known != 0), (1 - rates.clamp(1e-7, 1 - 1e-7)) * (known != 1)
    return one / (one + zero)


def valid(x: torch.Tensor) -> torch.Tensor:
    """Whether each row is one of the five sequences: bool [N]."""
    return (x[:, None] == SEQUENCES).all(2).any(1)


def inpainted(model: Reverse, rows: int, seed: int, bits: int, phase: int = PERIOD - 1) -> tuple[torch.Tensor, float]:
    """Sequences whose first `bits` bits are known to be those of one phase, and the share that is valid and keeps them."""
    known = torch.where(torch.arange(BITS) < bits, SEQUENCES[phase], torch.nan)
    x = sample(model, rows, seed, known)[-1]
    return x, float((valid(x) & (x[:, :bits] == known[:bits]).all(1)).float().mean())


def draw_figure(model: Reverse, seed: int, path):
    """The forward process, the reverse process and an inpainting, as rows of bits."""
    generator = torch.Generator().manual_seed(seed)
    shown = [0, T // 4, T // 2, 3 * T // 4, T]
    x0 = draw(16, generator)
    reverse = sample(model, 16, seed)
    figure, axes = plt.subplots(2, 6, figsize=(9.5, 3.2), layout="constrained")
    for column, t in enumerate(shown):
        axes[0, column].imshow(noised(x0, torch.full((16,), float(t)), generator), cmap="gray_r", vmin=0, vmax=1)
        axes[1, column].imshow(reverse[T - t], cmap="gray_r", vmin=0, vmax=1)
        axes[0, column].set_title(f"t = {t}", fontsize=9)
    for row, bits in enumerate((3, 10)):
        axes[row, 5].imshow(inpainted(model, 16, seed, bits)[0], cmap="gray_r", vmin=0, vmax=1)
        axes[row, 5].axvline(bits - 0.5, color="tab:red")
        axes[row, 5].set_title(f"{bits} bits known", fontsize=9)
    axes[0, 0].set_ylabel("forward", fontsize=9)
    axes[1, 0].set_ylabel("reverse", fontsize=9)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    save(figure, path)


def main():
    parser = options(__doc__, steps=6_000, figure="heartbeat.png")
    parser.add_argument("--draws", type=int, default=2000, help="draws per timestep for the bound (default: 2000)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = train(args.steps, args.seed)
    draw_figure(model, args.seed, args.figure)
    finish(
        {
            "bound_bits": bound(model, args.draws),
            "truth_bits": math.log2(1 / PERIOD),
            "valid_share": float(valid(sample(model, 5000, args.seed)[-1]).float().mean()),
            "inpainted_share": {bits: inpainted(model, 5000, args.seed, bits)[1] for bits in (3, 5, 10)},
        }
    )


if __name__ == "__main__":
    main()
