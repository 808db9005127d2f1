"""Evaluates the network of an exported version, and samples from it."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from tqdm import tqdm

import diffusion
from batches import pixels, scaled
from unet import load_unet


def onnx_network(folder: Path, threads: int, file: str = "unet.onnx"):
    """An exported network in ONNX Runtime on the CPU: a function (x [N, C, R, R], t [N]) -> [N, out_channels, R, R]."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / file, options, providers=["CPUExecutionProvider"])
    return lambda x, t: torch.from_numpy(session.run(None, {"x": x.contiguous().numpy(), "t": t.float().numpy()})[0])


def computed_by(device: str) -> dict:
    """{"device", "precision"}: where Sampler evaluates the network and how, for the card. device: cpu, cuda or cuda:<n>."""
    return {"device": device.split(":")[0], "precision": "fp32" if device == "cpu" else "bf16"}


def torch_network(folder: Path, card: dict, device: str):
    """The exported weights in PyTorch on `device`, in bf16: a function (x [N, C, R, R], t [N]) -> [N, out_channels, R, R]."""
    model = torch.compile(load_unet(folder, card).to(device, memory_format=torch.channels_last))

    def network(x, t):
        with torch.autocast(device.split(":")[0], torch.bfloat16):
            return model(x.contiguous(memory_format=torch.channels_last), t).float()

    return network


class Sampler:
    """An exported model with one of the samplers of the service (name: ddim, ddpm or dpmpp_2m).

    spacing, final: see diffusion.timesteps.
    """

    def __init__(self, folder: Path, name: str, steps: int, eta: float, spacing: str, final: int, device: str, batch: int, threads: int = 2):
        self.card = json.loads((folder / "model.json").read_text())
        self.network = onnx_network(folder, threads) if device == "cpu" else torch_network(folder, self.card, device)
        self.schedule = diffusion.schedule_of(self.card)
        self.name, self.steps, self.eta, self.spacing, self.final = name, steps, eta, spacing, final
        self.device, self.batch = device, batch

    @torch.no_grad()
    def fill(self, faces: np.ndarray, holes: np.ndarray, seeds: list[int], bar: tqdm) -> np.ndarray:
        """Fill the holes: uint8 [N, R, R, 3]. faces: uint8 [N, R, R, 3]; holes: bool [N, R, R], True in the hole; seeds: one per face."""
        out = []
        for i in range(0, len(faces), self.batch):
            x0 = scaled(torch.from_numpy(faces[i : i + self.batch]))
            mask = torch.from_numpy(holes[i : i + self.batch])[:, None].float()
            rows = len(x0)
            padding = 0 if self.device == "cpu" else self.batch - rows  # a compiled network would be compiled again for another batch
            if padding:
                x0, mask = (torch.cat([a, a[:1].expand(padding, -1, -1, -1)]) for a in (x0, mask))
            generators = [torch.Generator().manual_seed(s) for s in (seeds[i : i + rows] + [0] * padding)]
            x = self._draw(x0.to(self.device), mask.to(self.device), generators, bar, rows)[:rows]
            out.append(np.where(holes[i : i + rows, :, :, None], pixels(x), faces[i : i + rows]))
        return np.concatenate(out)

    def _draw(self, x0, mask, generators, bar, rows):
        """x0 [N, 3, R, R] in -1..1 with its hole, mask [N, 1, R, R], filled: [N, 3, R, R]. Counts `rows` per step on the bar."""

        def noise() -> torch.Tensor:
            return torch.stack([torch.randn(x0.shape[1:], generator=g) for g in generators]).to(self.device)

        def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            bar.update(rows)
            return self.network(diffusion.network_input(x, x0, mask), t)

        ts = diffusion.timesteps(self.schedule, self.steps, self.spacing, self.final)
        return sampled(self.name, self.schedule, self.card["prediction"], ts, network, noise(), noise, self.eta)


def sampled(name: str, schedule: diffusion.Schedule, prediction: str, ts: list[int], network, x, noise, eta: float = 0.0) -> torch.Tensor:
    """The sampling loop: x, x_t of the first of the timesteps ts, to x_0, [N, 3, R, R].

    name: ddim, ddpm or dpmpp_2m; network: maps (x_t, t int64 [N]) to the prediction, [N, 3 or 6, R, R]; noise: a function that draws
    standard normal noise like x.
    """
    abars, last = [float(schedule.abar[t]) for t in ts] + [1.0], None
    for i, t in enumerate(ts):
        rows = torch.full((len(x),), t, device=x.device)
        out = network(x, rows)
        guess, _ = diffusion.to_x0_eps(schedule, prediction, x, rows, out[:, :3])
        guess = guess.clamp(-1, 1)
        if name == "ddim":
            a, b = diffusion.coefficients(schedule, rows)
            eps = (x - a * guess) / b
            x = diffusion.ddim_step(abars[i], abars[i + 1], guess, eps, eta, noise() if eta else 0)
        elif name == "ddpm":
            learned = out[:, 3:] if out.shape[1] == 6 else None
            x = diffusion.ddpm_step(abars[i], abars[i + 1], x, guess, noise(), learned)
        else:
            x, last = diffusion.dpmpp_2m_step(abars[i], abars[i + 1], x, guess, last), (abars[i], guess)
    return x
