"""Writes tests/vectors/refiner.onnx, a tiny refiner with random weights, and refiner.json: what PyTorch makes of its weights.

    python vectors_refiner.py        # after a change of the refiner's network or of its export

Every layer is there, with few channels and windows of 16 px. Row i of the network's input is the service's noise for
candidate i, at a timestep of its own. Arrays are little-endian float32, in base64.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from export import halve, write_onnx
from philox import gaussian
from refiner import Refiner, RefinerConfig
from vectors_golden import encoded

FOLDER = Path(__file__).parent.parent / "tests" / "vectors"
CONFIG = RefinerConfig(resolution=16, channels=(8, 16, 16), embedding=16)
SEED, TIMESTEPS = 6, (0, 137, 601, 999)


def network() -> Refiner:
    """The tiny refiner. Its weights are those of the ONNX file: large tensors are rounded to fp16."""
    model = Refiner(CONFIG)
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            fan_in = weights[0].numel() if weights.ndim > 1 else 1
            noise = torch.randn(weights.shape, generator=generator) / fan_in**0.5
            weights.copy_(halve(noise if weights.ndim == 2 or name.endswith("weight") else 1 + noise / 4).float())
    return model.eval()


@torch.no_grad()
def rows(model: Refiner) -> list[dict]:
    shape = (CONFIG.in_channels, CONFIG.resolution, CONFIG.resolution)
    x = np.stack([gaussian(SEED, i, 0, int(np.prod(shape))).reshape(shape) for i in range(len(TIMESTEPS))])
    predictions = model(torch.from_numpy(x), torch.tensor(TIMESTEPS))
    return [{"t": t, "prediction": encoded(prediction)} for t, prediction in zip(TIMESTEPS, predictions, strict=True)]


def text(model: Refiner) -> str:
    shape = {"in_channels": CONFIG.in_channels, "out_channels": CONFIG.out_channels, "resolution": CONFIG.resolution}
    return json.dumps({**shape, "seed": SEED, "rows": rows(model)}, indent=1) + "\n"


if __name__ == "__main__":
    tiny = network()
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(tiny, Path(folder) / "refiner.onnx")
        (FOLDER / "refiner.onnx").write_bytes((Path(folder) / "refiner.onnx").read_bytes())
    (FOLDER / "refiner.json").write_text(text(tiny))
