"""Pictures of a training run: a sheet of fills, and the loss curve."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

import diffusion
import masks
from batches import pixels, scaled
from refiner import refiner_input
from training_log import read


def sample_sheet(model, schedule: diffusion.Schedule, faces: np.ndarray, device: str, path: Path, steps: int = 25, prediction: str = "v"):
    """Write a PNG of fills, with a row for each of the first six faces, and pairs (hole, fill) for each mask family and the whole picture.

    faces: uint8 [N, R, R, 3]; steps: DDIM steps, or T if that is lower; prediction: see diffusion.to_x0_eps.
    """
    families = {**masks.FAMILIES, "whole": masks.whole}
    rng = np.random.default_rng(0)
    size = faces.shape[1]
    cells = [(face, kind(rng, size)[None]) for face in faces[:6] for kind in families.values()]
    x0 = scaled(torch.from_numpy(np.stack([face for face, _ in cells]))).to(device)
    mask = torch.from_numpy(np.stack([hole for _, hole in cells])).float().to(device)
    noise = torch.randn(len(cells), 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    filled = diffusion.sample(model, schedule, x0, mask, noise, min(steps, schedule.T), prediction)
    pairs = pixels(torch.cat([x0 * (1 - mask), filled], 3))
    rows = [np.concatenate(pairs[i : i + len(families)], 1) for i in range(0, len(pairs), len(families))]
    Image.fromarray(np.concatenate(rows, 0)).save(path)


def refiner_sheet(model, schedule: diffusion.Schedule, batch, path: Path, steps: int = 8):
    """Write a PNG with a row for each window of a refiner_batches.Batch: coarse fill with its noise, refined fill, original.

    Four windows side by side, the last row filled up with black ones; steps: DDIM steps, or T if that is lower.
    """
    b = batch

    def network(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return model(refiner_input(x_t, b.x0, b.coarse, b.mask, b.level), t)

    refined = diffusion.denoise(network, schedule, b.eps, min(steps, schedule.T)) * b.mask + b.x0 * (1 - b.mask)
    triples = pixels(torch.cat([b.coarse * b.mask + b.x0 * (1 - b.mask), refined, b.x0], 3))
    triples = np.concatenate([triples, np.zeros((-len(triples) % 4, *triples.shape[1:]), np.uint8)])
    rows = [np.concatenate(triples[i : i + 4], 1) for i in range(0, len(triples), 4)]
    Image.fromarray(np.concatenate(rows, 0)).save(path)


def plot(log: Path, path: Path):
    """Write the loss curve as a PNG. log: JSON lines with `step` and `loss` or `validation`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines = read(log)
    figure, axes = plt.subplots(figsize=(8, 4))
    for key, style, label in [("loss", "-", "training (mean of 50 steps)"), ("validation", "o-", "validation (EMA, fixed draws)")]:
        points = [(x["step"], x[key]) for x in lines if key in x]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=label)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
