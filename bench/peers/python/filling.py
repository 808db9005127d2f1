"""What every Python peer does with a request, apart from serving: bytes to tensors, the sampler's steps, tensors to bytes.

The network, the schedule and the sampler are those of training/. PRECISION is fp32, bf16 (autocast) or compiled
(torch.compile, fp32); THREADS is the number of PyTorch's threads.
"""

import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.append(str(Path(__file__).parents[3] / "training"))
import diffusion
from unet import load_unet


@dataclass
class Prepared:
    """A picture with a hole. picture: uint8 [H, W, 3]; hole: bool [H, W]; box: the part that is filled; x0, mask: as the network sees it."""

    picture: np.ndarray
    hole: np.ndarray
    box: tuple[int, int, int, int]
    x0: torch.Tensor
    mask: torch.Tensor


class Filler:
    def __init__(self):
        torch.set_num_threads(int(os.environ["THREADS"]))
        folder = Path(os.environ["MODEL_FOLDER"])
        precision = os.environ.get("PRECISION", "fp32")
        self.card = json.loads((folder / "model.json").read_text())
        self.resolution = self.card["resolution"]
        schedule = dict(self.card["schedule"])
        self.schedule = diffusion.SCHEDULES[schedule.pop("type")](**schedule)
        self.network = load_unet(folder, self.card).to(memory_format=torch.channels_last)
        if precision == "compiled":
            self.network = torch.compile(self.network)
        self.autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
        self.fill(*[self.blank()], steps=2)  # first-run work, and compilation

    def blank(self) -> Prepared:
        r = self.resolution
        return self.prepared(np.zeros((r, r, 3), np.uint8), np.ones((r, r), bool))

    def decode(self, image: bytes, mask: bytes) -> Prepared:
        picture = np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))
        hole = np.asarray(Image.open(io.BytesIO(mask)).convert("L")) >= 128
        return self.prepared(picture, hole)

    def prepared(self, picture: np.ndarray, hole: np.ndarray) -> Prepared:
        """Crops a square around the hole, three times its size but not below the resolution, and scales it to the network's size."""
        height, width = hole.shape
        ys, xs = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        side = max(self.resolution, 3 * max(np.ptp(ys) + 1, np.ptp(xs) + 1))
        left, right = span(xs[0], xs[-1], side, width)
        top, bottom = span(ys[0], ys[-1], side, height)
        box, size = (left, top, right, bottom), (self.resolution, self.resolution)
        part, holed = picture[top:bottom, left:right], hole[top:bottom, left:right]
        if part.shape[:2] != size:
            part = np.asarray(Image.fromarray(part).resize(size, Image.LANCZOS))
            holed = np.asarray(Image.fromarray(holed).resize(size, Image.BOX))
        x0 = torch.from_numpy(part.copy()).permute(2, 0, 1).float() / 127.5 - 1
        return Prepared(picture, hole, box, x0, torch.from_numpy(holed.astype(np.float32))[None])

    @torch.inference_mode()
    def fill(self, *prepared: Prepared, steps: int) -> torch.Tensor:
        """DPM-Solver++(2M). The result is x_0 of each picture, [N, 3, R, R] in -1..1."""
        x0, mask = torch.stack([p.x0 for p in prepared]), torch.stack([p.mask for p in prepared])
        ts = diffusion.timesteps(self.schedule, steps)
        abars = [float(self.schedule.abar[t]) for t in ts] + [1.0]
        x, last = torch.randn_like(x0), None
        for i, t in enumerate(ts):
            rows = torch.full((len(x),), t)
            seen = diffusion.network_input(x, x0, mask).contiguous(memory_format=torch.channels_last)
            with self.autocast:
                out = self.network(seen, rows)
            guess, _ = diffusion.to_x0_eps(self.schedule, self.card["prediction"], x, rows, out.float())
            guess = guess.clamp(-1, 1)
            x, last = diffusion.dpmpp_2m_step(abars[i], abars[i + 1], x, guess, last), (abars[i], guess)
        return x

    def encode(self, prepared: Prepared, x0: torch.Tensor, kind: str) -> bytes:
        """The picture with the hole filled, as png or jpeg."""
        left, top, right, bottom = prepared.box
        fill = Image.fromarray(((x0 + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy())
        if fill.size != (right - left, bottom - top):
            fill = fill.resize((right - left, bottom - top), Image.LANCZOS)
        picture = prepared.picture.copy()
        holed = prepared.hole[top:bottom, left:right]
        picture[top:bottom, left:right][holed] = np.asarray(fill)[holed]
        out = io.BytesIO()
        Image.fromarray(picture).save(out, kind)
        return out.getvalue()

    def fill_groups(self, prepared: list[Prepared], steps: list[int]) -> list[torch.Tensor]:
        """Fills a batch whose rows want different numbers of steps: those that want the same are evaluated together."""
        out = [None] * len(prepared)
        for wanted in dict.fromkeys(steps):
            rows = [i for i, each in enumerate(steps) if each == wanted]
            for i, x0 in zip(rows, self.fill(*[prepared[i] for i in rows], steps=wanted), strict=True):
                out[i] = x0
        return out


def span(first: int, last: int, side: int, limit: int) -> tuple[int, int]:
    """A span of `side` around first..last, moved and cut to lie in 0..limit."""
    if side >= limit:
        return 0, limit
    start = min(max(0, (first + last + 1 - side) // 2), limit - side)
    return start, start + side
