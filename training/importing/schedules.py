"""Noise schedules of other libraries, as the section `schedule` of model.json."""

import math

import numpy as np

import diffusion
from importing.source import UnsupportedModel

AGREES = 1e-5  # relative difference of abar, at any timestep, between the section and the source's own table


def linear(T: int, beta_start: float, beta_end: float) -> dict:
    return {"type": "linear", "T": T, "beta_start": beta_start, "beta_end": beta_end}


def cosine(T: int) -> dict:
    """Nichol & Dhariwal's schedule as the libraries compute it: beta is at most 0.999, which gives abar a lower bound."""
    f = [math.cos((i / T + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(T + 1)]
    abar = np.cumprod([1 - min(1 - f[i + 1] / f[i], 0.999) for i in range(T)])
    return {"type": "cosine", "T": T, "s": 0.008, "abar_min": float(abar[-1])}


def assert_agrees(section: dict, abar: np.ndarray):
    """Raise UnsupportedModel unless the service computes the table abar [T] of the source from the section."""
    found = diffusion.schedule_of({"schedule": section}).abar.numpy()
    if len(abar) != len(found) or not np.allclose(found, abar, rtol=AGREES, atol=1e-7):
        raise UnsupportedModel("its noise schedule is not the linear or cosine one that its configuration names.")
