"""The refiner: a fully convolutional diffusion model that doubles the resolution of a fill (after SR3, Saharia et al. 2021).

It sees the noisy fill, an enlarged coarse fill, and the known pixels around both at the fine resolution. Nothing in it
depends on the size or the position of its window: there is no attention, and the norms use the channels of one pixel
alone. So windows of a large picture can be evaluated one by one.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from unet import timestep_embedding, zeroed

LEVEL_MAX = 0.3
"""The largest standard deviation of the noise that is added to the coarse fill in training, for values in -1..1."""
MAX_SHARPEN = 1.2
"""The largest amount of the unsharp mask of the coarse fill."""
MIN_PIXELS = 16
"""With fewer pixels inside the hole, or outside it, their sharpness is not compared."""
FLOOR = 3.1e-4
"""Mean square of the Laplacian, summed over the channels, that rounding to 8 bits causes: 3 (1 + 1 + 1 + 1 + 16) (2 / 255)^2 / 12."""


@dataclass(frozen=True)
class RefinerConfig:
    """The architecture. Level i works at 1 / (patch * 2^i) of the window's size, so a window's side is a multiple of 8 px."""

    resolution: int = 64  # side of the training windows
    in_channels: int = 8
    out_channels: int = 3
    patch: int = 2
    channels: tuple[int, int, int] = (64, 128, 128)
    embedding: int = 256

    def to_dict(self) -> dict:
        return asdict(self)


class PixelNorm(nn.Module):
    """Root-mean-square norm over the channels of each pixel, with a gain per channel (Zhang & Sennrich 2019)."""

    def __init__(self, channels: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x and result: [N, channels, H, W]."""
        return x * torch.rsqrt(self._mean_square(x.float()) + 1e-5).to(x.dtype) * self.gain

    def _mean_square(self, x: torch.Tensor) -> torch.Tensor:
        """The mean of x^2 over the channels, [N, 1, H, W].

        In an exported network it is a 1 x 1 convolution, which onnxruntime computes several times as fast as ReduceMean
        over channels. The results differ by rounding alone.
        """
        if not torch.compiler.is_exporting():
            return x.square().mean(1, keepdim=True)
        channels = self.gain.shape[1]
        return F.conv2d(x * x, torch.full((1, channels, 1, 1), 1 / channels, device=x.device))


class Block(nn.Module):
    """Residual block as in unet.ResBlock, with PixelNorm."""

    def __init__(self, c_in: int, c_out: int, c_emb: int):
        super().__init__()
        self.norm1 = PixelNorm(c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.emb = nn.Linear(c_emb, 2 * c_out)
        self.norm2 = PixelNorm(c_out)
        self.conv2 = zeroed(nn.Conv2d(c_out, c_out, 3, padding=1))
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        """x: [N, c_in, H, W]; emb: [N, c_emb]; result: [N, c_out, H, W]."""
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.emb(emb)[:, :, None, None].chunk(2, 1)
        return self.skip(x) + self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))


class Refiner(nn.Module):
    """A U-Net of three levels: one block each on the way down and up, one more in the middle and before the output."""

    def __init__(self, config: RefinerConfig):
        super().__init__()
        self.config = config
        a, b, c = config.channels
        emb = config.embedding
        self.time1, self.time2 = nn.Linear(64, emb), nn.Linear(emb, emb)
        self.stem = nn.Conv2d(config.in_channels * config.patch**2, a, 3, padding=1)
        self.down0, self.shrink0 = Block(a, a, emb), nn.Conv2d(a, b, 3, stride=2, padding=1)
        self.down1, self.shrink1 = Block(b, b, emb), nn.Conv2d(b, c, 3, stride=2, padding=1)
        self.down2, self.middle, self.up2 = Block(c, c, emb), Block(c, c, emb), Block(2 * c, c, emb)
        self.grow1, self.up1 = nn.Conv2d(c, b, 3, padding=1), Block(2 * b, b, emb)
        self.grow0, self.up0, self.last = nn.Conv2d(b, a, 3, padding=1), Block(2 * a, a, emb), Block(a, a, emb)
        self.norm = PixelNorm(a)
        self.head = zeroed(nn.Conv2d(a, config.out_channels * config.patch**2, 3, padding=1))

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x: [N, 8, H, W], see refiner_input; t: [N] in 0..T-1; result: v [N, 3, H, W]. H and W: multiples of 8."""
        emb = F.silu(self.time2(F.silu(self.time1(timestep_embedding(t, 64)))))
        fine = self.down0(self.stem(F.pixel_unshuffle(x, self.config.patch)), emb)
        half = self.down1(self.shrink0(fine), emb)
        quarter = self.down2(self.shrink1(half), emb)
        h = self.up2(torch.cat([self.middle(quarter, emb), quarter], 1), emb)
        h = self.up1(torch.cat([self.grow1(_enlarge(h)), half], 1), emb)
        h = self.last(self.up0(torch.cat([self.grow0(_enlarge(h)), fine], 1), emb), emb)
        return F.pixel_shuffle(self.head(F.silu(self.norm(h))), self.config.patch)


def _enlarge(h: torch.Tensor) -> torch.Tensor:
    return F.interpolate(h, scale_factor=2, mode="nearest")


def refiner_input(x_t: torch.Tensor, known: torch.Tensor, coarse: torch.Tensor, mask: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """The refiner's input [N, 8, H, W].

    Channels: x_t in the hole and known pixels outside it (3), the enlarged coarse fill in the hole and known pixels outside
    it (3), the mask as -1 or 1 (1), and the level scaled from 0..LEVEL_MAX to -1..1 (1). x_t, known, coarse: [N, 3, H, W];
    mask: [N, 1, H, W], 1 in the hole; level: [N, 1, 1, 1], the standard deviation of the noise in `coarse` (conditioning
    augmentation, Ho et al. 2022).
    """
    planes = (level * (2 / LEVEL_MAX) - 1).expand(-1, 1, *mask.shape[2:])
    return torch.cat([x_t * mask + known * (1 - mask), coarse * mask + known * (1 - mask), mask * 2 - 1, planes], 1)


def enlarge_coarse(x: torch.Tensor) -> torch.Tensor:
    """x [N, C, H, W] in -1..1 at twice the size: bicubic (a = -0.75, as in PyTorch), clamped to -1..1."""
    return F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False).clamp(-1, 1)


def sharpening(x: torch.Tensor, mask: torch.Tensor, at_equal: float) -> torch.Tensor:
    """The amounts, [N, 1, 1, 1], by which coarse fills are sharpened, as in src/generation/trajectories/sharpen.ts.

    at_equal + log(L(known) / L(fill)), clipped to 0..1.2, where L is the root mean square of the Laplacian over pixels whose 3 x 3
    neighbours are all known, or all in the hole; at_equal alone, clipped, if there are fewer than 16 of either.
    x: [N, 3, H, W] in -1..1; mask: [N, 1, H, W], 1 in the hole; at_equal: the amount for a fill as sharp as the known pixels.
    """
    lap = x[..., 1:-1, :-2] + x[..., 1:-1, 2:] + x[..., :-2, 1:-1] + x[..., 2:, 1:-1] - 4 * x[..., 1:-1, 1:-1]
    square = (lap**2).sum(1, keepdim=True)

    def mean_over(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        alone = 1 - F.max_pool2d(1 - part, 3, 1)
        count = alone.sum((1, 2, 3))
        return (square * alone).sum((1, 2, 3)) / count.clamp(min=1) + FLOOR, count

    (fill, in_hole), (known, outside) = mean_over(mask), mean_over(1 - mask)
    comparable = torch.minimum(in_hole, outside) >= MIN_PIXELS
    softer = torch.where(comparable, (known / fill).log() / 2, 0)
    return (at_equal + softer).clamp(0, MAX_SHARPEN).view(-1, 1, 1, 1)


def sharpened(x: torch.Tensor, amount: float | torch.Tensor) -> torch.Tensor:
    """An unsharp mask, clamped to -1..1: x + amount (x - mean of 3 x 3 pixels), where pixels beyond the edge repeat it.

    x: [N, C, H, W]; amount: one for all, or [N, 1, 1, 1].

    A model's fill is softer than a shrunk photograph, and the refiner keeps its softness.
    """
    mean = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return (x + amount * (x - mean)).clamp(-1, 1)


def load_refiner(weights: Path, architecture: dict) -> Refiner:
    """An exported refiner, fp32, for evaluation."""
    model = Refiner(RefinerConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in architecture.items()}))
    model.load_state_dict({k: v.float() for k, v in load_file(weights).items()})
    return model.eval()


def weights_in_millions(model: nn.Module) -> float:
    """The number of weights of a network, in millions."""
    return math.fsum(p.numel() for p in model.parameters()) / 1e6
