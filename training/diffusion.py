"""The maths: noise schedules, the forward process, prediction types, loss weights, and three samplers.

The service has its own implementation in TypeScript (src/diffusion). The vectors in tests/vectors check that both agree.

Notation: t in 0..T-1; abar_t = prod_{s<=t} (1 - beta_s); x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps.
"""

import math
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Schedule:
    """A noise schedule. abar: float64 [T] on the CPU, in (0, 1), non-increasing."""

    abar: torch.Tensor
    _copies: dict[torch.device, torch.Tensor] = field(default_factory=dict, repr=False, compare=False)  # abar on other devices

    @property
    def T(self) -> int:
        return len(self.abar)

    def snr(self, t: torch.Tensor) -> torch.Tensor:
        """Signal-to-noise ratio abar_t / (1 - abar_t), float32 [N]. t: int64 [N]."""
        a = self.at(t)
        return (a / (1 - a)).float()

    def at(self, t: torch.Tensor) -> torch.Tensor:
        """abar of each row, float64 [N]. t and result: [N], on any device."""
        if t.device not in self._copies:
            self._copies[t.device] = self.abar.to(t.device)
        return self._copies[t.device][t]


def cosine(T: int = 1000, s: float = 0.008, abar_min: float = 1e-5) -> Schedule:
    """abar_t = f(t + 1) / f(0), f(u) = cos^2((u / T + s) / (1 + s) * pi / 2) (Nichol & Dhariwal 2021, eq. 17).

    abar is at least abar_min, so that the log SNR stays finite. For T = 1000 this changes the last three timesteps.
    """
    u = torch.arange(T + 1, dtype=torch.float64) / T
    f = torch.cos((u + s) / (1 + s) * math.pi / 2) ** 2
    return Schedule((f[1:] / f[0]).clamp(min=abar_min))


def linear(T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> Schedule:
    """beta_t increases linearly from beta_start to beta_end (Ho et al. 2020, section 4). Raises ValueError if it would fall."""
    if beta_start > beta_end:
        raise ValueError(f"beta_end must be at least beta_start, {beta_start}, not {beta_end}")
    return Schedule(torch.cumprod(1 - torch.linspace(beta_start, beta_end, T, dtype=torch.float64), 0))


SCHEDULES = {"cosine": cosine, "linear": linear}


def schedule_of(config: dict) -> Schedule:
    """The noise schedule of a training config or of a model card, whose member "schedule" names its type and parameters."""
    parameters = dict(config["schedule"])
    return SCHEDULES[parameters.pop("type")](**parameters)


def sampling_of(card: dict) -> dict:
    """The section `sampling` of a model card with its defaults: spacing and final_timestep, see timesteps()."""
    return {"spacing": "trailing", "final_timestep": 0, **card.get("sampling", {})}


def coefficients(schedule: Schedule, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(sqrt(abar_t), sqrt(1 - abar_t)) for t int64 [N], each float32 [N, 1, 1, 1]."""
    a = schedule.at(t).view(-1, 1, 1, 1)
    return a.sqrt().float(), (1 - a).sqrt().float()


def q_sample(schedule: Schedule, x0: torch.Tensor, t: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps (Ho et al. 2020, eq. 4). x0, eps and result: [N, C, H, W]; t: int64 [N]."""
    a, b = coefficients(schedule, t)
    return a * x0 + b * eps


def v_target(schedule: Schedule, x0: torch.Tensor, t: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """v = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0 (Salimans & Ho 2022). x0, eps and result: [N, C, H, W]; t: int64 [N]."""
    a, b = coefficients(schedule, t)
    return a * eps - b * x0


def to_x0_eps(schedule: Schedule, prediction: str, x: torch.Tensor, t: torch.Tensor, out: torch.Tensor):
    """Convert a network's output to (x_0, eps).

    x (x_t), out and both results: [N, C, H, W]; t: int64 [N]; prediction: "epsilon", "v" or "sample" (x_0).
    Raises ValueError for another prediction.
    """
    a, b = coefficients(schedule, t)
    if prediction == "v":
        return a * x - b * out, b * x + a * out
    if prediction == "epsilon":
        return (x - b * out) / a, out
    if prediction == "sample":
        return out, (x - a * out) / b
    raise ValueError(f"prediction must be epsilon, v or sample, not {prediction!r}")


SPACINGS = ("leading", "trailing", "linspace", "log_snr")


def timesteps(schedule: Schedule, steps: int, spacing: str = "trailing", final: int = 0, first: int | None = None) -> list[int]:
    """`steps` strictly decreasing timesteps: those that src/diffusion/timesteps.ts returns, which describes each spacing.

    steps: 1..first+1; first, final: 0..T-1, where linspace and log_snr start (default: T-1) and end, or first + 1 - steps if
    that is lower. Raises ValueError outside these ranges, and for an unknown spacing.
    """
    T, last = schedule.T, steps - 1
    first = T - 1 if first is None else first
    if not 0 <= first < T:
        raise ValueError(f"the first timestep must be a whole number from 0 to {T - 1}, not {first}")
    if not 1 <= steps <= first + 1:
        raise ValueError(f"steps must be a whole number from 1 to {first + 1}, not {steps}")
    if not 0 <= final < T:
        raise ValueError(f"the final timestep must be a whole number from 0 to {T - 1}, not {final}")
    end = min(final, first + 1 - steps)
    if spacing == "trailing":
        return [max(0, _rounded(T - i * T / steps) - 1) for i in range(steps)]
    if spacing == "leading":
        return [i * (T // steps) for i in reversed(range(steps))]
    if steps == 1:
        return [first]
    if spacing == "linspace":
        return [_rounded(end + i * (first - end) / last) for i in reversed(range(steps))]
    if spacing == "log_snr":
        a, b = _log_snr(schedule, first), _log_snr(schedule, end)
        return _nearest(schedule, [a + i / last * (b - a) for i in range(steps)], first, end)
    raise ValueError(f"spacing must be one of {', '.join(SPACINGS)}, not {spacing!r}")


def described(spacing: str, final: int) -> str:
    """A spacing in words, such as "log_snr, down to t = 8"."""
    return spacing if spacing in ("trailing", "leading") else f"{spacing}, down to t = {final}"


def _rounded(value: float) -> int:
    """Halves are rounded up, like Math.round in JavaScript. Python's round() would round them to even numbers."""
    return math.floor(value + 0.5)


def _log_snr(schedule: Schedule, t: int) -> float:
    a = float(schedule.abar[t])
    return math.log(a / (1 - a))


def _nearest(schedule: Schedule, targets: list[float], first: int, end: int) -> list[int]:
    """The timestep whose log SNR is nearest to each target (increasing), and strictly decreasing: see `timesteps`."""
    t, previous, out = first, first + 1, []
    for i, target in enumerate(targets):
        while t > 0 and _log_snr(schedule, t) < target:
            t -= 1
        noisier = t < first and target - _log_snr(schedule, t + 1) < _log_snr(schedule, t) - target
        previous = max(min(t + 1 if noisier else t, previous - 1), end + len(targets) - 1 - i)
        out.append(previous)
    return out


def log_snr(schedule: Schedule) -> torch.Tensor:
    """log(abar_t / (1 - abar_t)) of every timestep, float64 [T], decreasing."""
    return (schedule.abar / (1 - schedule.abar)).log()


def at_log_snr(schedule: Schedule, wanted: torch.Tensor) -> torch.Tensor:
    """The timesteps whose log SNR is nearest to `wanted`, float64 [N], on the CPU: int64 [N], not necessarily distinct.

    Of equal ones, such as those at the floor of abar, the noisiest: samplers begin there.
    """
    return schedule.T - 1 - (log_snr(schedule).flip(0) - wanted[:, None]).abs().argmin(1)


def ddim_step(abar: float, abar_prev: float, x0: torch.Tensor, eps: torch.Tensor, eta: float, noise: torch.Tensor) -> torch.Tensor:
    """One DDIM step (Song et al. 2021, eq. 12 and 16): x_s = sqrt(abar_s) x_0 + sqrt(1 - abar_s - sigma^2) eps + sigma noise.

    abar: of the current timestep t; abar_prev: of the next visited timestep s < t, or 1; x0, eps: estimates at t. The
    tensors have one shape. eta 0..1: sigma = 0 (deterministic) to that of DDPM's posterior, sqrt(btilde).
    """
    sigma = eta * math.sqrt((1 - abar_prev) / (1 - abar) * (1 - abar / abar_prev))
    return math.sqrt(abar_prev) * x0 + math.sqrt(max(0.0, 1 - abar_prev - sigma**2)) * eps + sigma * noise


def posterior_variance(abar: float, abar_prev: float) -> float:
    """btilde, the variance of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7). abar, abar_prev: of t and of s < t, the next visited timestep."""
    return (1 - abar_prev) / (1 - abar) * (1 - abar / abar_prev)


def ddpm_step(
    abar: float, abar_prev: float, x: torch.Tensor, x0: torch.Tensor, noise: torch.Tensor, learned: torch.Tensor | None = None
) -> torch.Tensor:
    """A sample of the posterior q(x_s | x_t, x_0) (Ho et al. 2020, eq. 6 and 7). Parameters: see ddim_step; x is x_t.

    learned: the network's output for the variance, in -1..1: the logarithm of the variance is interpolated between that of
    the posterior and that of beta (Nichol & Dhariwal 2021, eq. 15).
    """
    alpha = abar / abar_prev
    mean = math.sqrt(abar_prev) * (1 - alpha) / (1 - abar) * x0 + math.sqrt(alpha) * (1 - abar_prev) / (1 - abar) * x
    variance = posterior_variance(abar, abar_prev)
    if learned is None or variance == 0:
        return mean + math.sqrt(variance) * noise
    share = (learned + 1) / 2
    return mean + torch.exp(0.5 * (share * math.log(1 - alpha) + (1 - share) * math.log(variance))) * noise


def dpmpp_2m_step(abar: float, abar_prev: float, x: torch.Tensor, x0: torch.Tensor, last: tuple[float, torch.Tensor] | None) -> torch.Tensor:
    """One step of DPM-Solver++(2M) (Lu et al. 2022, algorithm 2). Parameters: see ddim_step; x is x_t.

    last: abar and x_0 of the previous step, or None at the first step, which is then of first order.
    """
    if abar_prev == 1:
        return x0

    def lam(a: float) -> float:
        return 0.5 * math.log(a / (1 - a))  # half the log SNR

    h = lam(abar_prev) - lam(abar)
    if h == 0:
        return x
    h_last = lam(abar) - lam(last[0]) if last else 0.0
    half = h / (2 * h_last) if h_last > 0 else 0.0
    d = (1 + half) * x0 - half * last[1] if half else x0
    return math.sqrt((1 - abar_prev) / (1 - abar)) * x - math.sqrt(abar_prev) * math.expm1(-h) * d


def network_input(x_t: torch.Tensor, x0: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The network's input [N, 4, H, W]: x_t in the hole, x_0 outside it, and the mask as -1 or 1 (Palette, Saharia et al. 2022).

    x_t: [N, 3, H, W]; x0: [N, 3, H, W] in -1..1; mask: [N, 1, H, W], 1 in the hole.
    """
    return torch.cat([x_t * mask + x0 * (1 - mask), mask * 2 - 1], 1)


def loss_weight(schedule: Schedule, t: torch.Tensor, snr_cap: float = 5.0, floor: float = 0.0) -> torch.Tensor:
    """Weight of each row's squared error of v: max(min(SNR, snr_cap) / (SNR + 1), floor), float32 [N]. t: int64 [N].

    snr_cap 5 and floor 0 give min-SNR-5 (Hang et al. 2023). Its weight at t = T - 1 is about 1e-5, so the noisiest
    timesteps, which determine the layout, are hardly trained; a floor increases their weight. It also increases that of the least
    noisy ones, which falls with 5 / SNR: with the cosine of T = 1000, a floor of 0.4 acts at t >= 560 and at t <= 175. floor 1
    weights v uniformly, close to EDM (Karras et al. 2022).
    """
    snr = schedule.snr(t)
    return (snr.clamp(max=snr_cap) / (snr + 1)).clamp(min=floor)


@torch.no_grad()
def denoise(network, schedule: Schedule, noise: torch.Tensor, steps: int, prediction: str = "v") -> torch.Tensor:
    """DDIM with eta 0 from `noise` [N, 3, H, W]; the result has this shape, in -1..1. steps: 1..T; prediction: see to_x0_eps.

    network: a function of x_t [N, 3, H, W] and t int64 [N] that returns the prediction, [N, 3, H, W] or with more channels.
    """
    x = noise
    ts = timesteps(schedule, steps)
    for i, t in enumerate(ts):
        rows = torch.full((len(x),), t, device=x.device)
        x0_hat, _ = to_x0_eps(schedule, prediction, x, rows, network(x, rows)[:, :3].float())
        x0_hat = x0_hat.clamp(-1, 1)
        a, b = coefficients(schedule, rows)
        abar_prev = float(schedule.abar[ts[i + 1]]) if i + 1 < len(ts) else 1.0
        x = ddim_step(float(schedule.abar[t]), abar_prev, x0_hat, (x - a * x0_hat) / b, 0.0, noise)
    return x.clamp(-1, 1)


def sample(model, schedule: Schedule, x0: torch.Tensor, mask: torch.Tensor, noise: torch.Tensor, steps: int, prediction: str = "v") -> torch.Tensor:
    """Fill the holes with DDIM (eta 0), starting from `noise`: [N, 3, H, W] in -1..1. Known pixels stay unchanged.

    x0: [N, 3, H, W] in -1..1; mask: [N, 1, H, W], 1 in the hole; noise: [N, 3, H, W], standard normal; steps: 1..T.
    """
    filled = denoise(lambda x, t: model(network_input(x, x0, mask), t), schedule, noise, steps, prediction)
    return filled * mask + x0 * (1 - mask)
