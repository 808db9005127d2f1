"""A GAN, a VAE, a normalising flow and a diffusion model, with equally many parameters, on a ring of eight Gaussians.

    python course/eight_gaussians.py    # about five minutes on one core: 4 models, 5 seeds; writes docs/course/eight-gaussians.png

For each model: how many of the eight modes it draws, the share of its samples that belong to none, and the log likelihood of
data where it can be computed. The flow's is exact, the VAE's an importance-weighted bound with 500 draws (Burda et al. 2016),
and that of the diffusion model the variational bound. A GAN has none.
"""

import math

import torch
import torch.nn.functional as F
from command import finish, optimise, options, plt, progress, save
from torch import nn

import bound
import diffusion

MODES, RADIUS, SD = 8, 2.0, 0.1
CENTRES = torch.tensor([[RADIUS * math.cos(2 * math.pi * k / MODES), RADIUS * math.sin(2 * math.pi * k / MODES)] for k in range(MODES)])
LOG_2PI = math.log(2 * math.pi)
LEARNING_RATE = 3e-3


def draw(rows: int) -> torch.Tensor:
    """Points of the data, float32 [rows, 2], from torch's global generator, like everything here."""
    return CENTRES[torch.randint(MODES, (rows,))] + SD * torch.randn(rows, 2)


def data_log_likelihood(x: torch.Tensor) -> torch.Tensor:
    """log p(x) of the data in nats, [N]."""
    squares = torch.cdist(x, CENTRES).square() / SD**2
    return torch.logsumexp(-0.5 * squares, 1) - math.log(MODES) - LOG_2PI - 2 * math.log(SD)


def modes_and_stray(x: torch.Tensor) -> tuple[int, float]:
    """How many modes have at least a quarter of their share of the samples x [N, 2], and the share of samples that belong to none.

    A sample belongs to a mode if it is within four standard deviations of its centre; 0.03 % of the data does not.
    """
    distance, nearest = torch.cdist(x, CENTRES).min(1)
    near = distance < 4 * SD
    counts = torch.bincount(nearest[near], minlength=MODES)
    return int((counts >= len(x) / MODES / 4).sum()), 1 - float(near.float().mean())


def perceptron(c_in: int, hidden: int, c_out: int) -> nn.Sequential:
    """Three hidden layers."""
    widths = [c_in, hidden, hidden, hidden, c_out]
    layers = [layer for a, b in zip(widths, widths[1:], strict=False) for layer in (nn.Linear(a, b), nn.SiLU())]
    return nn.Sequential(*layers[:-1])


class Gan(nn.Module):
    """Two players: the generator turns noise into points, the discriminator tells them from data (Goodfellow et al. 2014)."""

    def __init__(self):
        super().__init__()
        self.generator, self.discriminator = perceptron(2, 70, 2), perceptron(2, 70, 1)

    def fit(self, steps: int, bar, lr: float = LEARNING_RATE, rows: int = 256):
        """Alternating steps on the non-saturating losses (section 3 of the paper). There is no loss that both minimise. lr is not used."""
        players = [torch.optim.Adam(part.parameters(), lr=5e-4, betas=(0.5, 0.999)) for part in (self.generator, self.discriminator)]
        for _ in range(steps):
            fake = self.sample(rows)
            loss = F.softplus(-self.discriminator(draw(rows))).mean() + F.softplus(self.discriminator(fake.detach())).mean()
            players[1].zero_grad()
            loss.backward()
            players[1].step()
            loss = F.softplus(-self.discriminator(fake)).mean()
            players[0].zero_grad()
            loss.backward()
            players[0].step()
            bar.update()

    def sample(self, rows: int) -> torch.Tensor:
        return self.generator(torch.randn(rows, 2))

    def log_likelihood(self, x: torch.Tensor) -> None:
        """A GAN gives no density."""
        return None


class Vae(nn.Module):
    """A latent z ~ N(0, I), a Gaussian p(x | z) and a Gaussian q(z | x) (Kingma & Welling 2014)."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = perceptron(2, 70, 4), perceptron(2, 70, 2)
        self.log_variance = nn.Parameter(torch.tensor(0.0))  # of p(x | z), the same everywhere

    def fit(self, steps: int, bar, lr: float = LEARNING_RATE, rows: int = 256):
        """Maximises the evidence lower bound (eq. 6 of the paper, with one draw of z)."""
        optimise(self.parameters(), lambda: -self._weights(draw(rows), 1).mean(), steps, bar, lr=lr)

    def _weights(self, x: torch.Tensor, draws: int) -> torch.Tensor:
        """log p(x, z) - log q(z | x) for `draws` of z ~ q(z | x), in nats: [draws, N]. The mean is the evidence lower bound."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        eps = torch.randn(draws, *mean.shape)
        z = mean + torch.exp(0.5 * log_variance) * eps
        log_p = -0.5 * (z.square() + LOG_2PI).sum(2)
        log_q = -0.5 * (eps.square() + log_variance + LOG_2PI).sum(2)
        log_x = bound.density(x, self.decoder(z), self.log_variance).sum(2)
        return log_x + log_p - log_q

    def sample(self, rows: int) -> torch.Tensor:
        return self.decoder(torch.randn(rows, 2)) + torch.exp(0.5 * self.log_variance) * torch.randn(rows, 2)

    def log_likelihood(self, x: torch.Tensor) -> torch.Tensor:
        """The importance-weighted bound with 500 draws, in nats: [N]."""
        return torch.logsumexp(self._weights(x, 500), 0) - math.log(500)


class Flow(nn.Module):
    """RealNVP (Dinh et al. 2017): eight affine couplings, each of which scales and shifts one coordinate as told by the other."""

    def __init__(self, couplings: int = 8):
        super().__init__()
        self.couplings = nn.ModuleList(perceptron(1, 34, 2) for _ in range(couplings))

    def fit(self, steps: int, bar, lr: float = LEARNING_RATE, rows: int = 256):
        """Maximises the likelihood itself."""
        optimise(self.parameters(), lambda: -self.log_likelihood(draw(rows)).mean(), steps, bar, lr=lr)

    def log_likelihood(self, x: torch.Tensor) -> torch.Tensor:
        """log N(f(x); 0, I) + log |det df / dx| in nats, [N] (eq. 3 and 6 of the paper). f takes the data to the noise."""
        log_det = torch.zeros(len(x))
        for i, network in enumerate(self.couplings):
            log_scale, shift = self._affine(network, x[:, i % 2, None])
            moved = x[:, 1 - i % 2] * torch.exp(log_scale) + shift
            x = torch.stack([x[:, 0], moved] if i % 2 == 0 else [moved, x[:, 1]], 1)
            log_det = log_det + log_scale
        return -0.5 * (x.square() + LOG_2PI).sum(1) + log_det

    def sample(self, rows: int) -> torch.Tensor:
        x = torch.randn(rows, 2)
        for i, network in reversed(list(enumerate(self.couplings))):
            log_scale, shift = self._affine(network, x[:, i % 2, None])
            moved = (x[:, 1 - i % 2] - shift) * torch.exp(-log_scale)
            x = torch.stack([x[:, 0], moved] if i % 2 == 0 else [moved, x[:, 1]], 1)
        return x

    @staticmethod
    def _affine(network: nn.Module, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = network(kept)
        return 2 * torch.tanh(out[:, 0] / 2), out[:, 1]


class Diffusion(nn.Module):
    """DDPM (Ho et al. 2020) in two dimensions, with 200 timesteps: epsilon prediction, L_simple, and samples with the variance btilde."""

    SCALE = RADIUS / math.sqrt(2)  # standard deviation of the data: the model sees x / SCALE

    def __init__(self, T: int = 200):
        super().__init__()
        self.schedule = diffusion.cosine(T)
        self.network = perceptron(2 + 16, 95, 2)
        self.register_buffer("frequencies", 2.0 ** torch.arange(8) * math.pi / T / 4)

    def eps(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The noise in x_t, [N, 2]. x: [N, 2]; t: int64 [N]."""
        angles = t[:, None] * self.frequencies
        return self.network(torch.cat([x, angles.cos(), angles.sin()], 1))

    def fit(self, steps: int, bar, lr: float = LEARNING_RATE, rows: int = 256):
        """L_simple: the squared error of the noise (eq. 14 of the paper)."""

        def loss() -> torch.Tensor:
            t = torch.randint(self.schedule.T, (rows,))
            eps = torch.randn(rows, 2)
            x = diffusion.q_sample(self.schedule, _points(draw(rows) / self.SCALE), t, _points(eps))
            return (self.eps(x[:, :, 0, 0], t) - eps).square().mean()

        optimise(self.parameters(), loss, steps, bar, lr=lr)

    def x0(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The estimate of x_0. x and result: [N, 2, 1, 1]."""
        eps = _points(self.eps(x[:, :, 0, 0], t))
        return diffusion.to_x0_eps(self.schedule, "epsilon", x, t, eps)[0].clamp(-2, 2)

    def sample(self, rows: int) -> torch.Tensor:
        x = _points(torch.randn(rows, 2))
        abars = [1.0, *self.schedule.abar.tolist()]
        for t in reversed(range(self.schedule.T)):
            x0 = self.x0(x, torch.full((rows,), t))
            x = diffusion.ddpm_step(abars[t + 1], abars[t], x, x0, torch.randn(x.shape))
        return x[:, :, 0, 0] * self.SCALE

    def log_likelihood(self, x: torch.Tensor) -> torch.Tensor:
        """The variational bound with the variances beta_t, in nats: [N]. The scale changes a density by its Jacobian."""

        def predict(x_t, t):
            return self.x0(x_t, t), bound.log_variances(self.schedule, t)[1]

        nats = bound.negative_bound(predict, self.schedule, _points(x / self.SCALE), 20, torch.default_generator, bound.density)
        return -nats.sum((1, 2, 3)) - 2 * math.log(self.SCALE)


def _points(x: torch.Tensor) -> torch.Tensor:
    """Points [N, 2] as pictures [N, 2, 1, 1], which the functions of diffusion.py take."""
    return x[:, :, None, None]


MODELS = {"gan": Gan, "vae": Vae, "flow": Flow, "diffusion": Diffusion}
STEPS = {"gan": 1.0, "vae": 1.0, "flow": 0.6, "diffusion": 1.5}  # so that training takes each about as long


@torch.no_grad()
def measured(model: nn.Module, rows: int) -> tuple[dict, torch.Tensor]:
    """{"modes", "stray", "log_likelihood" (bits per point, or None)} and the samples they were measured on, [rows, 2]."""
    x = model.sample(rows)
    modes, stray = modes_and_stray(x)
    likelihood = model.log_likelihood(draw(2000))
    return {"modes": modes, "stray": stray, "log_likelihood": None if likelihood is None else float(likelihood.mean()) / math.log(2)}, x


def summary(runs: list[dict]) -> dict:
    """The means of the runs, with the modes of each seed."""
    modes = [run["modes"] for run in runs]
    means = {k: None if runs[0][k] is None else sum(run[k] for run in runs) / len(runs) for k in ("stray", "log_likelihood")}
    return {"modes": sum(modes) / len(modes), **means, "modes_of_each_seed": modes}


def draw_figure(samples: dict[str, list[torch.Tensor]], path):
    """A row of samples for each seed, and a column for each model."""
    seeds = len(next(iter(samples.values())))
    figure, axes = plt.subplots(seeds, len(samples), figsize=(1.9 * len(samples), 1.9 * seeds), layout="constrained", squeeze=False)
    for column, (name, runs) in enumerate(samples.items()):
        for row, x in enumerate(runs):
            axes[row, column].scatter(*x[:2000].T, s=0.6, color="tab:blue")
            axes[row, column].set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[])
        axes[0, column].set_title(name, fontsize=10)
    save(figure, path)


def main():
    parser = options(__doc__, steps=2_500, figure="eight-gaussians.png")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each model (default: 5)")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE, help="of all but the GAN (default: 0.003)")
    parser.add_argument("--samples", type=int, default=10_000, help="samples drawn from each (default: 10000)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    steps = {name: max(1, round(args.steps * share)) for name, share in STEPS.items()}
    result, samples = {}, {"data": []}
    with progress(args.seeds * sum(steps.values()), "eight Gaussians") as bar:
        for name, kind in MODELS.items():
            runs, samples[name] = [], []
            for seed in range(args.seed, args.seed + args.seeds):
                torch.manual_seed(seed)
                model = kind()
                bar.set_postfix(model=name, seed=seed)
                model.fit(steps[name], bar, args.learning_rate)
                run, x = measured(model, args.samples)
                runs.append(run)
                samples[name].append(x)
            result[name] = summary(runs)
    samples["data"] = [draw(2000) for _ in range(args.seeds)]
    draw_figure(samples, args.figure)
    truth = float(data_log_likelihood(draw(100_000)).mean()) / math.log(2)
    finish({**result, "truth": {"modes": MODES, "stray": math.exp(-8), "log_likelihood": truth}})


if __name__ == "__main__":
    main()
