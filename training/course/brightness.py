"""Classifier guidance on faces: whole faces from noise, steered to be bright or dark.

    python course/brightness.py ../models/celeba-inpaint-64/3      # a quarter of an hour on one core; writes docs/course/brightness.png

As course/guidance.py (Dhariwal and Nichol 2021, algorithm 1), with an exported model. The classes are the terciles of the mean
brightness of the training faces. The gradient is that of the classifier alone, so the denoising network may be an ONNX file. The
brightness of the result is measured, not classified: it tells whether a face is of the target class.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from command import finish, optimise, options, plt, progress, save
from guidance import gradient
from torch import nn

import diffusion
from batches import pixels, scaled
from data import loaded
from evaluate import HERE
from inference import onnx_network
from register import opened_card
from scores import descriptors, frechet

BATCH = 8
SIZE = 16  # px: the classifier sees a picture shrunk to this size


class Classifier(nn.Module):
    """log p(tercile | x_t, t): a small convolutional network, trained on noised faces."""

    def __init__(self, schedule: diffusion.Schedule):
        super().__init__()
        self.schedule = schedule
        self.convs = nn.Sequential(
            nn.Conv2d(4, 32, 3, padding=1), nn.SiLU(), nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.SiLU(), nn.Conv2d(32, 32, 3, stride=2, padding=1)
        )
        self.head = nn.Sequential(nn.SiLU(), nn.Flatten(), nn.Linear(32 * (SIZE // 4) ** 2, 3))

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x: x_t [N, 3, R, R]; t: int64 [N]; result: [N, 3], logarithms of probabilities."""
        small = F.adaptive_avg_pool2d(x, SIZE)
        level = (t.float() / self.schedule.T).view(-1, 1, 1, 1).expand(-1, 1, SIZE, SIZE)
        return F.log_softmax(self.head(self.convs(torch.cat([small, level], 1))), 1)

    def fit(self, faces: torch.Tensor, classes: torch.Tensor, steps: int, bar, rows: int = 64):
        """Cross entropy on faces uint8 [N, R, R, 3] that are noised to a random timestep; classes: int64 [N] in 0..2."""

        def loss() -> torch.Tensor:
            chosen, t = torch.randint(len(faces), (rows,)), torch.randint(self.schedule.T, (rows,))
            x0 = scaled(faces[chosen])
            return F.nll_loss(self(diffusion.q_sample(self.schedule, x0, t, torch.randn_like(x0)), t), classes[chosen])

        optimise(self.parameters(), loss, steps, bar, lr=1e-3)


def brightness(faces: np.ndarray) -> np.ndarray:
    """The mean of each face over pixels and channels, 0..255: [N]. faces: uint8 [N, R, R, 3]."""
    return faces.reshape(len(faces), -1).mean(1)


class Denoiser:
    """An exported model that draws whole faces from noise."""

    def __init__(self, folder: Path, threads: int):
        self.card = opened_card(folder)
        self.schedule = diffusion.schedule_of(self.card)
        self.network = onnx_network(folder, threads)

    def x0(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The estimate of x_0 in -1..1, where the whole picture is the hole. x and result: [N, 3, R, R]; t: int64 [N]."""
        seen = diffusion.network_input(x, torch.zeros_like(x), torch.ones_like(x[:, :1]))
        parts = zip(seen.split(BATCH), t.split(BATCH), strict=True)
        out = torch.cat([self.network(part, level)[:, :3] for part, level in parts])
        return diffusion.to_x0_eps(self.schedule, self.card["prediction"], x, t, out)[0].clamp(-1, 1)

    @torch.no_grad()
    def guided(self, classifier, target: int, scale: float, rows: int, steps: int, seed: int, bar) -> np.ndarray:
        """Faces uint8 [rows, R, R, 3] of the class `target`, guided with the scale s; 0 is plain DDPM sampling with the same noise."""
        generator, size = torch.Generator().manual_seed(seed), self.card["resolution"]
        ts = diffusion.timesteps(self.schedule, steps)
        abars = [float(self.schedule.abar[t]) for t in ts] + [1.0]
        x = torch.randn(rows, 3, size, size, generator=generator)
        for i, step in enumerate(ts):
            t, noise = torch.full((rows,), step), torch.randn(x.shape, generator=generator)
            moved = diffusion.ddpm_step(abars[i], abars[i + 1], x, self.x0(x, t), noise)
            with torch.enable_grad():
                shift = gradient(classifier, x, t, target)
            x = moved + scale * diffusion.posterior_variance(abars[i], abars[i + 1]) * shift
            bar.update(rows)
        return pixels(x)


def judged(found: np.ndarray, bounds: np.ndarray, target: int, faces: np.ndarray, classes: np.ndarray) -> dict:
    """The share of each tercile, and the Frechet distance of descriptors to as many real faces of the target class, and of any class."""
    shares = np.bincount(np.digitize(brightness(found), bounds), minlength=3) / len(found)
    described = descriptors(found)
    real = [faces[classes == target][: len(found)], faces[: len(found)]]
    to_target, to_all = (frechet(described, descriptors(part)) for part in real)
    return {"target_share": float(shares[target]), "frechet_target": to_target, "frechet_all": to_all}


def main():
    parser = options(__doc__, steps=1500, figure="brightness.png")
    parser.add_argument("folder", type=Path, help="models/<id>/<version>")
    parser.add_argument("--data", type=Path, default=HERE / "data" / "celeba", help="the data set")
    parser.add_argument("--target", type=int, choices=(0, 1, 2), default=2, help="tercile: 0 is dark, 2 bright (default: 2)")
    parser.add_argument("--scales", type=lambda text: [float(s) for s in text.split(",")], default=[0.0, 1.0, 4.0], help="default: 0,1,4")
    parser.add_argument("--faces", type=int, default=192, help="faces for each scale (default: 192)")
    parser.add_argument("--evaluations", type=int, default=30, help="evaluations of the network for a face (default: 30)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = Denoiser(args.folder, args.threads)
    faces = loaded(args.data, model.card["resolution"], "train")
    bounds = np.quantile(brightness(faces), [1 / 3, 2 / 3])
    classes = np.digitize(brightness(faces), bounds)
    classifier = Classifier(model.schedule)
    with progress(args.steps, "classifier") as bar:
        classifier.fit(torch.from_numpy(faces), torch.from_numpy(classes), args.steps, bar)
    result = {}
    figure, axes = plt.subplots(len(args.scales), 1, figsize=(9, 1.3 * len(args.scales)), squeeze=False, layout="constrained")
    with progress(len(args.scales) * args.faces * args.evaluations, "faces") as bar:
        for axis, scale in zip(axes[:, 0], args.scales, strict=True):
            found = model.guided(classifier, args.target, scale, args.faces, args.evaluations, args.seed, bar)
            result[f"{scale:g}"] = judged(found, bounds, args.target, faces, classes)
            axis.imshow(np.concatenate(found[:10], 1))
            axis.set(xticks=[], yticks=[], ylabel=f"s = {scale:g}")
    save(figure, args.figure)
    finish(result)


if __name__ == "__main__":
    main()
