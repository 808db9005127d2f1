"""Noise schedules of other libraries, as the section `schedule` of model.json."""

import math

import numpy as np

import diffusion
from importing.source import MAX_T, UnsupportedModel

AGREES = 1e-5  # relative difference of abar, at any timestep, between the section and the source's own table


def linear(T: int, beta_start: float, beta_end: float) -> dict:
    """Raises UnsupportedModel for values that the service does not take: see src/model/fields.ts."""
    _assert_timesteps(T)
    numbers = all(isinstance(beta, int | float) for beta in (beta_start, beta_end))
    if not numbers or not 0 < beta_start <= beta_end < 1:
        raise UnsupportedModel(f"its betas go from {beta_start!r} to {beta_end!r}: the service takes ones that do not fall, between 0 and 1.")
    section = {"type": "linear", "T": T, "beta_start": beta_start, "beta_end": beta_end}
    if diffusion.schedule_of({"schedule": section}).abar[-1] == 0:
        raise UnsupportedModel("its betas are so large that abar, the share of the signal, becomes 0.")
    return section


def cosine(T: int) -> dict:
    """Nichol & Dhariwal's schedule as the libraries compute it: beta is at most 0.999, which gives abar a lower bound."""
    _assert_timesteps(T)
    f = [math.cos((i / T + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(T + 1)]
    abar = np.cumprod([1 - min(1 - f[i + 1] / f[i], 0.999) for i in range(T)])
    return {"type": "cosine", "T": T, "s": 0.008, "abar_min": float(abar[-1])}


def _assert_timesteps(T: int):
    if not isinstance(T, int) or not 1 <= T <= MAX_T:
        raise UnsupportedModel(f"its schedule has {T!r} timesteps: the service takes 1 to {MAX_T}.")


def assert_agrees(section: dict, abar: np.ndarray):
    """Raise UnsupportedModel unless the service computes the table abar [T] of the source from the section."""
    found = diffusion.schedule_of({"schedule": section}).abar.numpy()
    if len(abar) != len(found) or not np.allclose(found, abar, rtol=AGREES, atol=1e-7):
        raise UnsupportedModel("its noise schedule is not the linear or cosine one that its configuration names.")
