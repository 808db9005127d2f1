"""Training batches of the refiner: windows, their coarse fills, masks, timesteps and noise as a function of (seed, step) alone."""

import io
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter

import diffusion
import masks
from batches import Sources, completed, generator, scaled, window
from losses import over_the_hole
from refiner import LEVEL_MAX, enlarge_coarse, refiner_input

MARGIN = 16
"""Pixels by which a picture is cropped larger than the window, half on each side, so that a blur's edge is outside the window."""
WHOLE_SHARE = 0.2
"""Share of rows whose whole window is the hole, as in the inner windows of a large hole."""


@dataclass(frozen=True)
class Batch:
    """x0, coarse, eps: float32 [N, 3, R, R], values in -1..1; mask: float32 [N, 1, R, R], 1 in the hole; t: int64 [N];
    level: float32 [N, 1, 1, 1], the standard deviation of the noise in `coarse`."""

    x0: torch.Tensor
    mask: torch.Tensor
    t: torch.Tensor
    eps: torch.Tensor
    coarse: torch.Tensor
    level: torch.Tensor


def batch_at(step: int, sources: Sources, config: dict, T: int) -> list[torch.Tensor]:
    """[x0 uint8 [N, R, R, 3], mask bool [N, 1, R, R], t int64 [N], seed of the noise int64 []] of this step.

    [mix] has the shares of rows that are photographs, and that are softened.
    """
    train, mix, n, size = config["train"], config["mix"], config["train"]["batch"], config["model"]["resolution"]
    rng = np.random.default_rng([train["seed"], step])
    x0 = np.stack([_picture(rng, sources, mix, size) for _ in range(n)])
    return completed(rng, x0, _mask, T)


def _mask(rng: np.random.Generator, size: int) -> np.ndarray:
    return masks.whole(rng, size) if rng.random() < WHOLE_SHARE else masks.training_mask(rng, size)


def to_device(batch: list[torch.Tensor], device: str) -> Batch:
    """Move a batch of `batch_at` to the device, and add its noise and its coarse fills there."""
    x0, mask, t = (b.to(device, non_blocking=True) for b in batch[:3])
    x0, draws = scaled(x0), {"generator": generator(batch[3], device), "device": device}
    eps = torch.randn(x0.shape, **draws)
    softness = torch.rand(len(x0), 1, 1, 1, **draws)
    level = torch.rand(len(x0), 1, 1, 1, **draws) * LEVEL_MAX
    coarse = coarse_of(x0, softness) + level * torch.randn(x0.shape, **draws)
    return Batch(x0, mask.float(), t, eps, coarse, level)


def _picture(rng: np.random.Generator, sources: Sources, mix: dict, size: int) -> np.ndarray:
    pictures = sources.photos if rng.random() < mix["photos"] else sources.faces
    margin = window(rng, pictures[rng.integers(len(pictures))], size + MARGIN)
    if rng.random() < mix["soften"]:
        margin = soften(rng, margin)
    return margin[MARGIN // 2 : -MARGIN // 2, MARGIN // 2 : -MARGIN // 2]


def soften(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A picture uint8 [H, W, 3] as worse cameras and encoders make it: blurred, with grain, compressed; each of them at random.

    Known and hidden pixels are changed alike, so the refiner learns to match the sharpness and the grain around the hole.
    """
    image = Image.fromarray(picture)
    if rng.random() < 0.7:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.8)))
    if rng.random() < 0.4:
        noise = rng.normal(0, rng.uniform(1, 10), (*picture.shape[:2], 3 if rng.random() < 0.5 else 1))
        image = Image.fromarray((np.asarray(image) + noise).round().clip(0, 255).astype(np.uint8))
    if rng.random() < 0.4:
        buffer = io.BytesIO()
        image.save(buffer, "jpeg", quality=int(rng.integers(35, 96)))
        image = Image.open(buffer)
    return np.asarray(image)


def coarse_of(x0: torch.Tensor, softness: torch.Tensor) -> torch.Tensor:
    """An imitation of a coarse fill: x0 [N, 3, H, W] shrunk to a half, and enlarged again.

    softness [N, 1, 1, 1] in 0..1: share of a 3 x 3 box blur of the shrunk picture, since a model's fill is softer than a
    shrunk photograph.
    """
    small = F.avg_pool2d(x0, 2)
    blurred = F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return enlarge_coarse(small + softness * (blurred - small))


def loss(model, schedule: diffusion.Schedule, batch: Batch, snr_cap: float, floor: float) -> torch.Tensor:
    """Weighted mean squared error of v over the hole, one value per row: float32 [N]. snr_cap, floor: see diffusion.loss_weight."""
    b = batch
    x_t = diffusion.q_sample(schedule, b.x0, b.t, b.eps)
    x = refiner_input(x_t, b.x0, b.coarse, b.mask, b.level).contiguous(memory_format=torch.channels_last)
    error = (model(x, b.t).float() - diffusion.v_target(schedule, b.x0, b.t, b.eps)) ** 2
    return over_the_hole(error, b.mask) * diffusion.loss_weight(schedule, b.t, snr_cap, floor)
