"""What the commands of the course share: options, a progress bar, training, the bump readout, figures, and the last line of output."""

import argparse
import json
import math
import sys
from pathlib import Path

import matplotlib
import torch
from torch import nn
from tqdm import tqdm

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of the backend)

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for the modules of training/
FIGURES = Path(__file__).resolve().parents[2] / "docs" / "course"


def options(description: str, steps: int, figure: str, of: str = "training") -> argparse.ArgumentParser:
    """A parser with the options that every command has.

    steps: default number of steps; figure: default file name in docs/course; of: what has these steps.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=steps, help=f"{of} steps (default: {steps})")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--figure", type=Path, default=FIGURES / figure, help=f"where the figure goes (default: docs/course/{figure})")
    return parser


def progress(total: int, name: str) -> tqdm:
    """A progress bar on standard error, so that standard output ends with the line of JSON."""
    return tqdm(total=total, desc=name, unit="step", mininterval=2, dynamic_ncols=True)


def save(figure, path: Path):
    """Write a matplotlib figure as a PNG and close it. The file depends on the figure alone: no date or version is stored in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)


def finish(result: dict):
    """Print the result as one line of JSON, with numbers rounded to four decimals."""

    def rounded(value):
        if isinstance(value, dict):
            return {k: rounded(v) for k, v in value.items()}
        return round(value, 4) if isinstance(value, float) else value

    print(json.dumps(rounded(result)), flush=True)


class BumpReadout(nn.Module):
    """A linear readout whose weights vary smoothly with t (Sohl-Dickstein et al. 2015, appendix D.2.2).

    y(z, t) = sum_j g_j(t) (W_j z + b_j), where the bumps g_j are Gaussians in t, normalised so that sum_j g_j(t) = 1. All other
    layers of the network are shared by all timesteps.
    """

    def __init__(self, c_in: int, c_out: int, T: int, bumps: int = 10):
        super().__init__()
        self.readouts = nn.Linear(c_in, bumps * c_out)
        self.register_buffer("centres", torch.linspace(0, T, bumps))
        self.width = T / (bumps - 1) / 1.5

    def forward(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """z: [N, c_in]; t: [N] in 0..T; result: [N, c_out]."""
        g = torch.softmax(-((t[:, None] - self.centres) ** 2) / (2 * self.width**2), 1)
        return (self.readouts(z).view(len(z), len(self.centres), -1) * g[:, :, None]).sum(1)


def optimise(parameters, loss, steps: int, bar: tqdm, *, lr: float, betas=(0.9, 0.999), clip: float | None = None, bits: float | None = None):
    """Adam on `loss()`, with a learning rate that is constant and then falls to 0.

    clip: largest norm of the gradient. bits: the bar shows -`bits` loss() / log 2 as the bound.
    """
    parameters = list(parameters)
    optimiser = torch.optim.Adam(parameters, lr=lr, betas=betas)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: decayed(step, steps))
    for step in range(steps):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        optimiser.step()
        schedule.step()
        bar.update()
        if bits is not None and step % 50 == 0:
            bar.set_postfix(bound_bits=f"{-float(value.detach()) * bits / math.log(2):.3f}")


def decayed(step: int, steps: int) -> float:
    """Factor for the learning rate: 1, and along a half cosine to 0 over the last half of the steps."""
    share = max(0.0, 2 * step / steps - 1)
    return float(0.5 * (1 + torch.cos(torch.tensor(share * torch.pi))))
