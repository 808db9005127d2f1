"""Writes tests/vectors/unet-options.safetensors and .json: a tiny U-Net with every option, and what PyTorch makes of it.

    python vectors_unet.py        # after a change of the U-Net's options

BigGAN blocks between levels, attention at two sizes with two heads, the embedding added instead of adaptive group
normalisation, and outputs for variances. Row i of the input is the service's noise for candidate i. Arrays are little-endian
float32, in base64.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from export import architecture
from philox import gaussian
from unet import UNet, UNetConfig
from vectors_golden import encoded

FOLDER = Path(__file__).parent.parent / "tests" / "vectors"
CONFIG = UNetConfig(
    resolution=16, out_channels=6, channels=(4, 8), attention=(8, 4), groups=2, head_dim=4, heads=2, resample="biggan", adaptive_norm=False
)
SEED, TIMESTEPS = 7, (0, 601, 999)


def network() -> UNet:
    """The tiny network, with random weights."""
    model = UNet(CONFIG)
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for weights in model.parameters():
            fan_in = weights[0].numel() if weights.ndim > 1 else 4
            weights.copy_(torch.randn(weights.shape, generator=generator) / fan_in**0.5)
    return model.eval()


@torch.no_grad()
def text(model: UNet) -> str:
    shape = (CONFIG.in_channels, CONFIG.resolution, CONFIG.resolution)
    x = np.stack([gaussian(SEED, i, 0, int(np.prod(shape))).reshape(shape) for i in range(len(TIMESTEPS))])
    predictions = model(torch.from_numpy(x), torch.tensor(TIMESTEPS))
    rows = [{"t": t, "prediction": encoded(prediction)} for t, prediction in zip(TIMESTEPS, predictions, strict=True)]
    sizes = {"in_channels": CONFIG.in_channels, "out_channels": CONFIG.out_channels, "resolution": CONFIG.resolution}
    return json.dumps({**sizes, "architecture": architecture(CONFIG), "seed": SEED, "rows": rows}, indent=1) + "\n"


if __name__ == "__main__":
    tiny = network()
    save_file(tiny.state_dict(), FOLDER / "unet-options.safetensors")
    (FOLDER / "unet-options.safetensors").chmod(0o644)
    (FOLDER / "unet-options.json").write_text(text(tiny))
