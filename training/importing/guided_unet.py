"""The U-Net of OpenAI's guided-diffusion checkpoints (Dhariwal & Nichol 2021, section 3 and appendix C).

Written from the paper and from the names and shapes of the parameters in published checkpoints, so that those load as they
are. A block's place in `input_blocks`, `middle_block` and `output_blocks` is part of a parameter's name.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from unet import RESIZE, timestep_embedding

GROUPS = 32  # of every group normalisation


@dataclass(frozen=True)
class GuidedConfig:
    """The dimensions of the network. Level i works at resolution / 2^i pixels and has channels * multipliers[i] channels."""

    resolution: int
    channels: int
    multipliers: tuple[float, ...]
    blocks: int  # residual blocks of each level on the way down; one more on the way up
    attention: tuple[int, ...]  # sides in pixels of the levels with self-attention; the middle always has it
    out_channels: int = 3
    heads: int = 4
    heads_up: int = -1  # on the way up; -1: as many
    head_channels: int = -1  # of each head, in place of `heads`
    scale_shift: bool = True  # the timestep embedding scales and shifts the second norm of a block, or is added before it
    resample_blocks: bool = False  # residual blocks between levels (BigGAN), or a strided convolution and an upsampled one
    split_heads_last: bool = False  # the newer order of the attention's channels: q, k and v first, then heads
    t_scale: float = 1.0  # the network was trained on t times this (rescale_timesteps)


class ResBlock(nn.Module):
    """norm, SiLU, conv; norm with the timestep embedding, SiLU, conv; plus the input. `resize` halves or doubles the size."""

    def __init__(self, c_in: int, c_out: int, c_emb: int, scale_shift: bool, resize: str = ""):
        super().__init__()
        self.scale_shift, self.resize = scale_shift, RESIZE[resize]
        self.in_layers = nn.Sequential(nn.GroupNorm(GROUPS, c_in), nn.SiLU(), nn.Conv2d(c_in, c_out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(c_emb, 2 * c_out if scale_shift else c_out))
        # The third layer is the dropout of training, which has no parameters.
        self.out_layers = nn.Sequential(nn.GroupNorm(GROUPS, c_out), nn.SiLU(), nn.Identity(), nn.Conv2d(c_out, c_out, 3, padding=1))
        self.skip_connection = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        norm, activate, convolve = self.in_layers
        h = convolve(self.resize(activate(norm(x))))
        e = self.emb_layers(emb)[:, :, None, None]
        norm, activate, _, convolve = self.out_layers
        if self.scale_shift:
            scale, shift = e.chunk(2, 1)
            h = norm(h) * (1 + scale) + shift
        else:
            h = norm(h + e)
        return self.skip_connection(self.resize(x)) + convolve(activate(h))


class Attention(nn.Module):
    """Self-attention over all positions, plus the input. `split_heads_last`: see GuidedConfig."""

    def __init__(self, channels: int, heads: int, split_heads_last: bool):
        super().__init__()
        self.heads, self.split_heads_last = heads, split_heads_last
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: torch.Tensor, _emb: torch.Tensor) -> torch.Tensor:
        n, c, height, width = x.shape
        flat = x.reshape(n, c, height * width)
        parts = (3, self.heads) if self.split_heads_last else (self.heads, 3)
        qkv = self.qkv(self.norm(flat)).reshape(n, *parts, c // self.heads, height * width)
        q, k, v = qkv.unbind(1 if self.split_heads_last else 2)  # each [N, heads, channels of a head, positions]
        # Both are scaled before the product, as in training with fp16.
        scale = (c // self.heads) ** -0.25
        weights = torch.softmax((q * scale).transpose(2, 3) @ (k * scale), -1)
        out = (v @ weights.transpose(2, 3)).reshape(n, c, height * width)
        return (flat + self.proj_out(out)).reshape(n, c, height, width)


class Down(nn.Module):
    """A convolution of stride 2."""

    def __init__(self, channels: int):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor, _emb: torch.Tensor) -> torch.Tensor:
        return self.op(x)


class Up(nn.Module):
    """Nearest-neighbour upsampling and a convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor, _emb: torch.Tensor) -> torch.Tensor:
        return self.conv(RESIZE["up"](x))


class First(nn.Conv2d):
    """The convolution at the entrance."""

    def forward(self, x: torch.Tensor, _emb: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


class Block(nn.Sequential):
    """Layers that are numbered together."""

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        for layer in self:
            x = layer(x, emb)
        return x


class GuidedUNet(nn.Module):
    """Maps x [N, 3, R, R] and t [N] to the prediction [N, out_channels, R, R]."""

    def __init__(self, config: GuidedConfig):
        super().__init__()
        self.config = config
        c, c_emb = config.channels, 4 * config.channels
        self.time_embed = nn.Sequential(nn.Linear(c, c_emb), nn.SiLU(), nn.Linear(c_emb, c_emb))
        widths = [int(m * c) for m in config.multipliers]
        last = len(widths) - 1

        def res(c_in: int, c_out: int, resize: str = "") -> ResBlock:
            return ResBlock(c_in, c_out, c_emb, config.scale_shift, resize)

        def attention(level: int, heads: int) -> list[Attention]:
            here = config.resolution / 2**level in config.attention
            return [self._attention(widths[level], heads)] if here else []

        ch = widths[0]
        inputs, skips = [Block(First(3, ch, 3, padding=1))], [ch]
        for level, width in enumerate(widths):
            for _ in range(config.blocks):
                inputs.append(Block(res(ch, width), *attention(level, config.heads)))
                ch = width
                skips.append(ch)
            if level < last:
                inputs.append(Block(res(ch, ch, "down") if config.resample_blocks else Down(ch)))
                skips.append(ch)
        self.input_blocks = nn.ModuleList(inputs)
        self.middle_block = Block(res(ch, ch), self._attention(ch, config.heads), res(ch, ch))
        outputs, heads_up = [], config.heads if config.heads_up == -1 else config.heads_up
        for level, width in reversed(list(enumerate(widths))):
            for i in range(config.blocks + 1):
                layers = [res(ch + skips.pop(), width), *attention(level, heads_up)]
                ch = width
                if level > 0 and i == config.blocks:
                    layers.append(res(ch, ch, "up") if config.resample_blocks else Up(ch))
                outputs.append(Block(*layers))
        self.output_blocks = nn.ModuleList(outputs)
        self.out = nn.Sequential(nn.GroupNorm(GROUPS, ch), nn.SiLU(), nn.Conv2d(ch, config.out_channels, 3, padding=1))

    def _attention(self, channels: int, heads: int) -> Attention:
        c = self.config
        return Attention(channels, heads if c.head_channels == -1 else channels // c.head_channels, c.split_heads_last)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        c = self.config.channels
        emb = timestep_embedding(t * self.config.t_scale, c)
        emb = self.time_embed(F.pad(emb, (0, c % 2)))
        skips = []
        for block in self.input_blocks:
            x = block(x, emb)
            skips.append(x)
        x = self.middle_block(x, emb)
        for block in self.output_blocks:
            x = block(torch.cat([x, skips.pop()], 1), emb)
        return self.out(x)
