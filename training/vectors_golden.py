"""Writes tests/vectors/golden.json: what PyTorch makes of the newest exported model, for the service to be compared with.

    python vectors_golden.py        # after every new version of the model

- noise: the service's counter-based noise under a few keys;
- pixels: the noise of single pixels of windows;
- network: predictions of the network for rows of noise, each at a timestep of its own;
- run: the hole of an example picture filled by three DDPM steps, before it is put into the picture.

Arrays are little-endian float32, in base64.
"""

import base64
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import diffusion
from philox import gaussian, gaussian_pixel
from register import MODELS, read_card, versions
from unet import load_unet

ROOT = Path(__file__).parent.parent
FILE = ROOT / "tests" / "vectors" / "golden.json"
MODEL = "celeba-inpaint-64"

NOISE_KEYS = [(0, 0, 0), (7, 0, 1), (7, 1, 0), (2**32 - 1, 7, 1000)]  # seed, candidate, step
NOISE_LENGTH = 10  # not a multiple of the four numbers that a block has
PIXELS = [  # a pixel, those that differ from it in one respect, and the last one
    {"seed": 7, "candidate": 1, "step": 2, "x": 3, "y": 4, "level": 1, **changes}
    for changes in (
        {},
        *({name: 0} for name in ("seed", "candidate", "step", "x", "y", "level")),
        {"seed": 2**32 - 1, "candidate": 7, "step": 2**20, "x": 65_535, "y": 65_535, "level": 12},
    )
]
NETWORK_SEED, TIMESTEPS = 5, (0, 137, 601, 999)
RUN = {"image": "examples/face-1.png", "mask": "examples/mask-1.png", "seed": 4_000_000_007, "sampler": "ddpm", "steps": 3}


def vectors() -> dict:
    folder = MODELS / MODEL / str(versions(MODELS / MODEL)[-1])
    card = read_card(folder)
    network = load_unet(folder, card)
    return {
        "model": f"{card['id']}@{card['version']}",
        "noise": [noise(*key) for key in NOISE_KEYS],
        "pixels": [{**pixel, "z": gaussian_pixel(**pixel).tolist()} for pixel in PIXELS],
        "network": {"seed": NETWORK_SEED, "rows": rows(network, card)},
        "run": {**RUN, "x0": encoded(run(network, card))},
    }


def noise(seed: int, candidate: int, step: int) -> dict:
    return {"seed": seed, "candidate": candidate, "step": step, "z": gaussian(seed, candidate, step, NOISE_LENGTH).tolist()}


@torch.no_grad()
def rows(network, card: dict) -> list[dict]:
    """Row i is the noise of candidate i, in all of the network's input channels."""
    shape = (card["in_channels"], card["resolution"], card["resolution"])
    x = np.stack([gaussian(NETWORK_SEED, i, 0, np.prod(shape)).reshape(shape) for i in range(len(TIMESTEPS))])
    predictions = network(torch.from_numpy(x), torch.tensor(TIMESTEPS))
    return [{"t": t, "prediction": encoded(prediction)} for t, prediction in zip(TIMESTEPS, predictions, strict=True)]


@torch.no_grad()
def run(network, card: dict) -> torch.Tensor:
    """[3, R, R]: the example with its hole filled by DDPM (fixed-small variance) from the noise of candidate 0."""
    x0, mask = example(card["resolution"])
    schedule = diffusion.schedule_of(card)
    draw = lambda step: torch.from_numpy(gaussian(RUN["seed"], 0, step, x0.numel()).reshape(x0.shape))  # noqa: E731
    sampling = card.get("sampling", {})
    ts = diffusion.timesteps(schedule, RUN["steps"], sampling.get("spacing", "trailing"), sampling.get("final_timestep", 0))
    abars = [float(schedule.abar[t]) for t in ts] + [1.0]
    x = draw(0)
    for i, t in enumerate(ts):
        rows_t = torch.tensor([t])
        out = network(diffusion.network_input(x, x0, mask), rows_t)
        guess, _ = diffusion.to_x0_eps(schedule, card["prediction"], x, rows_t, out)
        x = diffusion.ddpm_step(abars[i], abars[i + 1], x, guess.clamp(-1, 1), draw(i + 1))
    return (x * mask + x0 * (1 - mask))[0]


def example(resolution: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The picture [1, 3, R, R] in -1..1 and its hole [1, 1, R, R], 1 where the mask is white (128 or more)."""
    face, mask = (np.asarray(Image.open(ROOT / RUN[name]).convert(mode)) for name, mode in (("image", "RGB"), ("mask", "L")))
    if face.shape != (resolution, resolution, 3) or mask.shape != face.shape[:2]:
        raise ValueError(f"{RUN['image']} and {RUN['mask']} must have the model's {resolution} x {resolution} pixels")
    x0 = torch.from_numpy((face / 127.5 - 1).astype(np.float32)).permute(2, 0, 1)[None]
    return x0, torch.from_numpy(mask >= 128).float()[None, None]


def encoded(array: torch.Tensor) -> str:
    return base64.b64encode(array.contiguous().numpy().astype("<f4").tobytes()).decode()


def text() -> str:
    return json.dumps(vectors(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
