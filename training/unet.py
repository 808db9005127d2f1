"""The network: a U-Net with adaptive group normalisation and self-attention (Dhariwal & Nichol 2021).

src/engine/tfjs implements the same network in TypeScript, and reads weights.safetensors by the parameter names used here.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


@dataclass(frozen=True)
class UNetConfig:
    """The architecture. Level i works at resolution / patch / 2^i pixels."""

    resolution: int = 64
    in_channels: int = 4
    out_channels: int = 3
    patch: int = 2  # patch x patch pixels are moved to channels first: full resolution costs most and adds little
    channels: tuple[int, ...] = (64, 128, 192)  # of each level; each level has half the size of the previous one
    blocks: int = 1  # residual blocks per level on the way down; one more on the way up
    attention: tuple[int, ...] = (8,)  # sizes (px) of the levels with self-attention, resolution / patch / 2^i; the middle always has it
    head_dim: int = 32
    groups: int = 16
    dropout: float = 0.0
    heads: int = 0  # attention heads; 0: as many as have head_dim channels each
    resample: str = "conv"  # between levels: "conv", a strided convolution and nearest-neighbour upsampling, or "biggan"
    adaptive_norm: bool = True  # the embedding scales and shifts the second norm (AdaGN); False: it is added before that norm (DDPM)

    def __post_init__(self):
        if self.resample not in ("conv", "biggan"):
            raise ValueError(f"resample must be conv or biggan, not {self.resample!r}")
        if any(c % self.groups for c in self.channels):
            raise ValueError(f"channels must be multiples of groups, which is {self.groups}, not {list(self.channels)}")

    def to_dict(self) -> dict:
        return asdict(self)


def timestep_embedding(t: torch.Tensor, dim: int) -> torch.Tensor:
    """Cosines, then sines, of t at geometric frequencies from 1 to 1/10000 (Vaswani et al. 2017). t: [N] in 0..T-1; result: float32 [N, dim]."""
    frequencies = torch.exp(-math.log(10000) * torch.arange(dim // 2, dtype=torch.float32, device=t.device) / (dim // 2))
    angles = t.float()[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], 1)


class ResBlock(nn.Module):
    """Residual block: norm, SiLU, conv; norm scaled and shifted by the timestep embedding, SiLU, conv; plus the input.

    adaptive: False adds the embedding before the second norm instead (Ho et al. 2020). resize: "down" or "up" halves or doubles
    the size, of the features after the first SiLU and of the input (BigGAN, Brock et al. 2019; Dhariwal & Nichol 2021).
    """

    def __init__(self, c_in: int, c_out: int, c_emb: int, groups: int, dropout: float, adaptive: bool = True, resize: str = ""):
        super().__init__()
        self.adaptive, self.resize = adaptive, RESIZE[resize]
        self.norm1 = nn.GroupNorm(groups, c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.emb = nn.Linear(c_emb, 2 * c_out if adaptive else c_out)
        self.norm2 = nn.GroupNorm(groups, c_out)
        self.dropout = dropout
        self.conv2 = zeroed(nn.Conv2d(c_out, c_out, 3, padding=1))
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        """x: [N, c_in, H, W]; emb: [N, c_emb]; result: [N, c_out, H, W], or of half or double the size."""
        h = self.conv1(self.resize(F.silu(self.norm1(x))))
        x, given = self.resize(x), self.emb(emb)[:, :, None, None]
        if self.adaptive:
            scale, shift = given.chunk(2, 1)
            h = F.silu(self.norm2(h) * (1 + scale) + shift)
        else:
            h = F.silu(self.norm2(h + given))
        if self.dropout:
            h = F.dropout(h, self.dropout, self.training)
        return self.skip(x) + self.conv2(h)


RESIZE = {"": lambda x: x, "down": lambda x: F.avg_pool2d(x, 2), "up": lambda x: F.interpolate(x, scale_factor=2, mode="nearest")}


class Attention(nn.Module):
    """Multi-head self-attention over all positions, with `heads` heads, or head_dim channels per head where that is 0; plus the input."""

    def __init__(self, c: int, head_dim: int, groups: int, heads: int = 0):
        super().__init__()
        if c % (heads or head_dim):
            raise ValueError(f"{c} channels cannot be split into " + (f"{heads} heads" if heads else f"heads of {head_dim}"))
        self.heads = heads or c // head_dim
        self.norm = nn.GroupNorm(groups, c)
        self.qkv = nn.Conv2d(c, 3 * c, 1)
        self.proj = zeroed(nn.Conv2d(c, c, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x and result: [N, c, H, W]."""
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).view(n, 3, self.heads, c // self.heads, h * w).unbind(1)  # [N, heads, dim, HW]
        weights = torch.softmax((q.transpose(2, 3) @ k) * (c // self.heads) ** -0.5, -1)
        return x + self.proj((v @ weights.transpose(2, 3)).reshape(n, c, h, w))


class UNet(nn.Module):
    """A U-Net whose skip connections are concatenated on the way up, with the timestep embedding in every block."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        c0, c_emb = config.channels[0], 4 * config.channels[0]

        def block(c_in: int, c_out: int) -> ResBlock:
            return ResBlock(c_in, c_out, c_emb, config.groups, config.dropout, config.adaptive_norm)

        def resized(c: int, resize: str) -> nn.ModuleDict:
            if config.resample == "biggan":
                return nn.ModuleDict({"resample": ResBlock(c, c, c_emb, config.groups, config.dropout, config.adaptive_norm, resize)})
            return nn.ModuleDict({"conv": nn.Conv2d(c, c, 3, stride=2 if resize == "down" else 1, padding=1)})

        def attend(c: int, size: int) -> Attention | None:
            return Attention(c, config.head_dim, config.groups, config.heads) if size in config.attention else None

        self.time1, self.time2 = nn.Linear(c0, c_emb), nn.Linear(c_emb, c_emb)
        self.stem = nn.Conv2d(config.in_channels * config.patch**2, c0, 3, padding=1)

        size, c, skips = config.resolution // config.patch, c0, [c0]
        self.down = nn.ModuleList()
        for level, width in enumerate(config.channels):
            for _ in range(config.blocks):
                self.down.append(nn.ModuleDict(_present(block=block(c, width), attention=attend(width, size))))
                c = width
                skips.append(c)
            if level < len(config.channels) - 1:
                self.down.append(resized(c, "down"))
                skips.append(c)
                size //= 2

        self.mid1, self.mid_attention, self.mid2 = block(c, c), Attention(c, config.head_dim, config.groups, config.heads), block(c, c)

        self.up = nn.ModuleList()
        for level, width in reversed(list(enumerate(config.channels))):
            for _ in range(config.blocks + 1):
                self.up.append(nn.ModuleDict(_present(block=block(c + skips.pop(), width), attention=attend(width, size))))
                c = width
            if level > 0:
                self.up.append(resized(c, "up"))
                size *= 2

        self.norm = nn.GroupNorm(config.groups, c)
        self.head = zeroed(nn.Conv2d(c, config.out_channels * config.patch**2, 3, padding=1))

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x: [N, in_channels, R, R], see diffusion.network_input; t: [N] in 0..T-1; result: the prediction, [N, out_channels, R, R]."""
        emb = self.time2(F.silu(self.time1(timestep_embedding(t, self.config.channels[0]))))
        emb = F.silu(emb)
        h = self.stem(F.pixel_unshuffle(x, self.config.patch))
        skips = [h]
        for layer in self.down:
            h = layer["conv"](h) if "conv" in layer else _apply(layer, h, emb)
            skips.append(h)
        h = self.mid2(self.mid_attention(self.mid1(h, emb)), emb)
        for layer in self.up:
            if "conv" in layer:
                h = layer["conv"](RESIZE["up"](h))
            elif "resample" in layer:
                h = _apply(layer, h, emb)
            else:
                h = _apply(layer, torch.cat([h, skips.pop()], 1), emb)
        return F.pixel_shuffle(self.head(F.silu(self.norm(h))), self.config.patch)


def _apply(layer: nn.ModuleDict, h: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
    if "resample" in layer:
        return layer["resample"](h, emb)
    h = layer["block"](h, emb)
    return layer["attention"](h) if "attention" in layer else h


def _present(**modules) -> dict:
    return {name: module for name, module in modules.items() if module is not None}


def zeroed(layer: nn.Module) -> nn.Module:
    """Set all parameters of the layer to 0. Applied to the last layer of a block, so that the block starts as the identity."""
    for p in layer.parameters():
        nn.init.zeros_(p)
    return layer


def load_unet(folder: Path, card: dict) -> UNet:
    """The network of an exported model, fp32, for evaluation; card is its model.json."""
    architecture = {k: tuple(v) if isinstance(v, list) else v for k, v in card["architecture"].items()}
    sizes = {k: card[k] for k in ("resolution", "in_channels", "out_channels")}
    model = UNet(UNetConfig(**sizes, **architecture))
    model.load_state_dict({k: v.float() for k, v in load_file(folder / "weights.safetensors").items()})
    return model.eval()
