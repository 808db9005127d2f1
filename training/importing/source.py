"""A network that somebody else has trained, as its importer found it: the input of importing/version.py."""

from dataclasses import dataclass

import torch

T_COMPARED = (3.0, 50.0, 900.0)  # timesteps at which an imported network is compared with its source
RESAMPLING = {"jump": 5, "times": 3}  # RePaint's j and r: see src/generation/trajectories/repaint.ts
STEPS = 50
MIN_RESOLUTION, MAX_RESOLUTION = 8, 1024
MAX_T = 10_000


class UnsupportedModel(ValueError):
    """A model cannot be imported. The message is a sentence that says why, and what to do."""


@dataclass
class Source:
    """An unconditional network in pixel space.

    network: maps x [N, 3, R, R] in -1..1 and t [N] in 0..T-1 to the prediction [N, 3, R, R], or to 6 channels where the
    last three are learned variances (Nichol & Dhariwal 2021, eq. 15), all float32.
    """

    network: torch.nn.Module
    resolution: int
    out_channels: int
    prediction: str  # epsilon, v or sample
    schedule: dict  # the section of model.json
    variance: str  # fixed_small, fixed_large or learned
    clip: bool  # whether samplers clip their estimates of x_0 to -1..1
    spacing: str
    kind: str  # what it was imported from, for people to read
    licence: str | None = None  # as the source names it
    max_rows: int = 4096  # of a batch that the network can be exported for

    def __post_init__(self):
        """Raises UnsupportedModel for what the service could not load, or the network could not be evaluated for."""
        if not MIN_RESOLUTION <= self.resolution <= MAX_RESOLUTION:
            raise UnsupportedModel(f"it works at {self.resolution} px: the service takes models of {MIN_RESOLUTION} to {MAX_RESOLUTION} px.")
        try:
            with torch.no_grad():
                self.network(torch.zeros(1, 3, self.resolution, self.resolution), torch.zeros(1))
        except (RuntimeError, ValueError, ZeroDivisionError) as error:
            reason = str(error).splitlines()[0]
            raise UnsupportedModel(f"its network cannot be evaluated at {self.resolution} px as it is configured: {reason}") from error

    def sampling(self) -> dict:
        """The section `sampling` of model.json."""
        return {"spacing": self.spacing, "final_timestep": 0, "variance": self.variance, "clip": self.clip, "resampling": RESAMPLING}
