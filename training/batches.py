"""Training batches: pictures, masks, timesteps and noise as a function of (seed, step) alone, on a given device."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

import masks


@dataclass(frozen=True)
class Sources:
    """The pictures that rows are drawn from, all uint8 [N, side, side, 3].

    faces: whole, at the model's resolution R. large: faces at a larger side, for zoomed crops. photos: crops of
    photographs at a side of at least R, for windows. An empty source (None) needs a share of 0 in [mix].
    """

    faces: np.ndarray
    large: np.ndarray | None = None
    photos: np.ndarray | None = None


def batch_at(step: int, sources: Sources, config: dict, T: int) -> list[torch.Tensor]:
    """[x0 uint8 [N, R, R, 3], mask bool [N, 1, R, R], t int64 [N], seed of the noise int64 []] of this step.

    Faces are shuffled anew in every epoch. The shares of rows given in [mix] are replaced by zoomed crops and photographs.
    """
    train, mix, n = config["train"], config["mix"], config["train"]["batch"]
    per_epoch = len(sources.faces) // n
    epoch, i = divmod(step, per_epoch)
    order = np.random.default_rng([train["seed"], 0, epoch]).permutation(len(sources.faces))
    rng = np.random.default_rng([train["seed"], 1, step])
    x0 = np.stack([_picture(rng, index, sources, mix) for index in order[i * n : (i + 1) * n]])
    return completed(rng, x0, masks.training_mask, T)


def completed(rng: np.random.Generator, x0: np.ndarray, draw_mask, T: int) -> list[torch.Tensor]:
    """The batch of `batch_at` for pictures uint8 [N, R, R, 3]: half of them flipped, with masks, timesteps and a seed of the noise.

    draw_mask: a function (rng, size) -> bool [size, size].
    """
    n, size = x0.shape[:2]
    flip = rng.random(n) < 0.5
    x0 = np.where(flip[:, None, None, None], x0[:, :, ::-1], x0)
    mask = np.stack([draw_mask(rng, size) for _ in range(n)])[:, None]
    t = ((rng.permutation(n) + rng.random(n)) * T / n).astype(np.int64)  # stratified: one stratum per row, for lower variance
    return [torch.from_numpy(np.ascontiguousarray(x0)), torch.from_numpy(mask), torch.from_numpy(t), torch.tensor(rng.integers(2**31))]


def _picture(rng: np.random.Generator, index: int, sources: Sources, mix: dict) -> np.ndarray:
    size = sources.faces.shape[1]
    u = rng.random()
    if u < mix["photos"]:
        return window(rng, sources.photos[rng.integers(len(sources.photos))], size)
    if u < mix["photos"] + mix["zoom"]:
        return zoomed(rng, sources.large[rng.integers(len(sources.large))], size)
    return sources.faces[index]


def window(rng: np.random.Generator, picture: np.ndarray, size: int) -> np.ndarray:
    """A random crop [size, size, 3] of a picture uint8 [H, W, 3], not resized."""
    top, left = rng.integers(0, picture.shape[0] - size + 1), rng.integers(0, picture.shape[1] - size + 1)
    return picture[top : top + size, left : left + size]


def zoomed(rng: np.random.Generator, picture: np.ndarray, size: int) -> np.ndarray:
    """A random square crop of a square picture uint8 [S, S, 3], with a side of size..S px, shrunk to [size, size, 3]."""
    crop = window(rng, picture, int(rng.integers(size, picture.shape[0] + 1)))
    return np.asarray(Image.fromarray(crop).resize((size, size), Image.LANCZOS))


def to_device(batch: list[torch.Tensor], device: str) -> list[torch.Tensor]:
    """Move a batch of `batch_at` to the device, as the loss expects it.

    Returns [x0 float32 [N, 3, R, R] in -1..1, mask float32 [N, 1, R, R], t int64 [N], eps float32 [N, 3, R, R]].
    """
    x0, mask, t = (b.to(device, non_blocking=True) for b in batch[:3])
    x0 = scaled(x0)
    # The noise is drawn where it is needed: it has four times the bytes of the picture.
    eps = torch.randn(x0.shape, generator=generator(batch[3], device), device=device)
    return [x0, mask.float(), t, eps.contiguous(memory_format=torch.channels_last)]


def scaled(x0: torch.Tensor) -> torch.Tensor:
    """Pictures uint8 [N, H, W, 3] as float32 [N, 3, H, W] in -1..1, channels last in memory."""
    return (x0.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def pixels(x: torch.Tensor) -> np.ndarray:
    """The inverse of scaled, rounded and clipped: uint8 [N, H, W, 3]. x: float32 [N, 3, H, W]."""
    return ((x + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def generator(seed: torch.Tensor, device: str) -> torch.Generator:
    """A generator of the device with this seed, an integer tensor of one value on the CPU."""
    return torch.Generator(device).manual_seed(int(seed))
