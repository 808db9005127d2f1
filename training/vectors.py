"""Write tests/vectors/diffusion.json: results of this implementation, which the TypeScript implementation must reproduce.

python vectors.py
"""

import json
import math
from pathlib import Path

import numpy as np
import torch

import diffusion
import drift
from unet import timestep_embedding

FILE = Path(__file__).parent.parent / "tests" / "vectors" / "diffusion.json"


def vectors() -> dict:
    """Inputs and results of every function with a counterpart in TypeScript. Random inputs are float64 [8]."""
    generator = torch.Generator().manual_seed(3)

    def draw() -> torch.Tensor:
        return torch.randn(8, generator=generator, dtype=torch.float64)

    return {
        "schedules": [schedule("cosine", 1000), schedule("cosine", 10), schedule("linear", 1000)],
        "timesteps": [
            {"type": kind, "T": T, "steps": steps, "spacing": spacing, "final": final, "first": first, "timesteps": found}
            for spacing in diffusion.SPACINGS
            for kind, T, steps, final, first in TIMESTEPS
            for found in [diffusion.timesteps(diffusion.SCHEDULES[kind](T), steps, spacing, final, first)]
        ],
        "embedding": [embedding(t, dim) for t in (0, 1, 499, 999) for dim in (8, 64)],
        "q_sample": [q_sample(t, draw(), draw()) for t in (0, 400, 999)],
        "x0": [x0(kind, t, draw(), draw()) for kind in ("epsilon", "v", "sample") for t in (1, 500, 999)],
        "steps": [
            *[ddim(*levels, eta, draw(), draw(), draw()) for levels in LEVELS for eta in (0.0, 0.5, 1.0)],
            *[ddpm(*levels, draw(), draw(), draw()) for levels in LEVELS],
            *[dpmpp_2m(*levels, last, draw(), draw(), draw()) for levels in LEVELS for last in (None, levels[0] / 2)],
        ],
        "features": [features(hole) for hole in (0, 0.3, 0.8)],
    }


LEVELS = [(0.01, 0.05), (0.4, 0.5), (0.9, 0.99), (0.98, 1.0)]  # abar, abar of the next timestep

TIMESTEPS = [  # schedule, T, steps, final timestep, first timestep
    *[("cosine", 1000, steps, 0, 999) for steps in (1, 7, 16, 30)],
    *[("cosine", 1000, steps, 8, 999) for steps in (2, 4, 12, 100)],
    *[("linear", 1000, steps, final, 999) for steps, final in [(12, 8), (30, 0), (30, 999)]],
    *[("cosine", 10, steps, final, 9) for steps, final in [(3, 0), (4, 2), (9, 5), (10, 9)]],
    *[("cosine", 1000, steps, 8, first) for steps, first in [(1, 900), (6, 900), (6, 20), (10, 9)]],
]


def schedule(kind: str, T: int) -> dict:
    abar = diffusion.SCHEDULES[kind](T).abar
    t = sorted({round(i * (T - 1) / 19) for i in range(20)})
    return {"type": kind, "T": T, "t": t, "abar": abar[t].tolist()}


def embedding(t: int, dim: int) -> dict:
    return {"t": t, "dim": dim, "embedding": timestep_embedding(torch.tensor([t]), dim)[0].tolist()}


def q_sample(t: int, x0: torch.Tensor, eps: torch.Tensor) -> dict:
    a = float(diffusion.cosine().abar[t])
    return {"t": t, "x0": x0.tolist(), "eps": eps.tolist(), "x": (math.sqrt(a) * x0 + math.sqrt(1 - a) * eps).tolist()}


def x0(kind: str, t: int, x: torch.Tensor, out: torch.Tensor) -> dict:
    def shaped(v: torch.Tensor) -> torch.Tensor:
        return v.float().view(1, 1, 1, -1)

    found, eps = diffusion.to_x0_eps(diffusion.cosine(), kind, shaped(x), torch.tensor([t]), shaped(out))
    return {"prediction": kind, "t": t, "x": x.tolist(), "out": out.tolist(), "x0": found.flatten().tolist(), "eps": eps.flatten().tolist()}


def ddim(abar, abar_next, eta, x, x0, noise) -> dict:
    eps = (x - math.sqrt(abar) * x0) / math.sqrt(1 - abar)
    after = diffusion.ddim_step(abar, abar_next, x0, eps, eta, noise)
    return record("ddim", abar, abar_next, x, x0, after, eta=eta, noise=noise.tolist())


def ddpm(abar, abar_next, x, x0, noise) -> dict:
    return record("ddpm", abar, abar_next, x, x0, diffusion.ddpm_step(abar, abar_next, x, x0, noise), noise=noise.tolist())


def dpmpp_2m(abar, abar_next, abar_last, x, x0, x0_last) -> dict:
    last = None if abar_last is None else (abar_last, x0_last)
    after = diffusion.dpmpp_2m_step(abar, abar_next, x, x0, last)
    return record("dpmpp_2m", abar, abar_next, x, x0, after, last=last and {"abar": abar_last, "x0": x0_last.tolist()})


def features(hole: float, side: int = 6) -> dict:
    """Features of a random picture x [3, R, R], with a mask [R, R] in which a share of about `hole` is 1."""
    rng = np.random.default_rng(5)
    x, mask = rng.uniform(-1, 1, (side, side, 3)).astype(np.float32), rng.random((side, side)) < hole
    found = dict(zip(drift.FEATURES, drift.features(x[None], mask[None])[0], strict=True))
    return {"x": x.transpose(2, 0, 1).ravel().tolist(), "mask": mask.ravel().astype(int).tolist(), "features": found}


def record(sampler, abar, abar_next, x, x0, after, **more) -> dict:
    return {"sampler": sampler, "abar": abar, "abar_next": abar_next, "x": x.tolist(), "x0": x0.tolist(), "next": after.tolist(), **more}


def text() -> str:
    """The contents of the file."""
    return json.dumps(vectors(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text())
