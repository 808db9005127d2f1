"""Bits per dimension of an exported model from the variational bound, for each variance of the reverse process.

    python bits.py ../models/celeba-inpaint-64/2 --faces 128           # ten minutes on two cores

The pictures are test faces, and the whole picture is the hole: the bound is that of the unconditional model. Each variance is
measured with the same draws. The result is an estimate without bias; the standard error over faces is printed with it.
"""

import argparse
import json
import math
from pathlib import Path

import torch
from tqdm import tqdm

import bound
import diffusion
from arguments import positive
from batches import scaled
from data import loaded
from inference import onnx_network
from register import trained_card
from terms import pictures_of


def predictor(network, card: dict, schedule: diffusion.Schedule, variance: str, bar):
    """`predict` of bound.negative_bound for the exported network, with the variance fixed_small, fixed_large or learned."""

    def predict(x: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        bar.update(len(x))
        mask = torch.ones_like(x[:, :1])
        out = network(diffusion.network_input(x, torch.zeros_like(x), mask), t)
        x0, _ = diffusion.to_x0_eps(schedule, card["prediction"], x, t, out[:, :3])
        small, large = bound.log_variances(schedule, t)
        if variance == "learned":
            return x0.clamp(-1, 1), bound.interpolated(schedule, t, out[:, 3:])
        return x0.clamp(-1, 1), small if variance == "fixed_small" else large

    return predict


def estimate(bits: torch.Tensor) -> dict:
    """{"bits", "error"}: the mean of the faces' bits [N] and its standard error, None for one face."""
    error = round(float(bits.std() / len(bits) ** 0.5), 3) if len(bits) > 1 else None
    return {"bits": round(float(bits.mean()), 3), "error": error}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="models/<id>/<version>")
    parser.add_argument("--data", type=Path, help="the data set (default: data/celeba, for a model of CelebA)")
    parser.add_argument("--faces", type=positive, default=128, help="test faces (default: 128)")
    parser.add_argument("--draws", type=positive, default=32, help="timesteps drawn for each face (default: 32)")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    card = trained_card(args.folder)
    schedule = diffusion.schedule_of(card)
    faces = loaded(pictures_of(card, args.data), card["resolution"], "test")[: args.faces]
    x0 = scaled(torch.from_numpy(faces))
    network = onnx_network(args.folder, args.threads)
    variances = ["fixed_small", "fixed_large"] + (["learned"] if card["out_channels"] == 6 else [])
    result = {}
    with tqdm(total=len(variances) * len(x0) * (args.draws + 1), unit="row", mininterval=5) as bar:
        for variance in variances:
            generator = torch.Generator().manual_seed(0)
            predict = predictor(network, card, schedule, variance, bar)
            nats = torch.cat([bound.negative_bound(predict, schedule, part, args.draws, generator) for part in x0.split(32)])
            of_faces = nats.double().mean((1, 2, 3)) / math.log(2)
            result[variance] = estimate(of_faces)
    print(json.dumps({"model": f"{card['id']}@{card['version']}", "faces": len(x0), "draws": args.draws, **result}))


if __name__ == "__main__":
    main()
