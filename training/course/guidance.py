"""Classifier guidance on eight Gaussians: an unconditional diffusion model, steered to one of the eight modes.

    python course/guidance.py           # a minute on one core; writes docs/course/guidance.png

Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (NeurIPS 2021), algorithm 1: a classifier that was trained on
noisy points shifts the mean of each step by s Sigma grad log p(y | x_t). The classes are the modes, so whether a sample is of the
target class is told by the nearest centre, without the classifier.
"""

import torch
import torch.nn.functional as F
from command import finish, optimise, options, plt, progress, save
from eight_gaussians import CENTRES, LEARNING_RATE, MODES, SD, Diffusion, modes_and_stray, perceptron
from torch import nn

import diffusion

SCALES = (0.0, 1.0, 4.0)
TARGET = 1


class Classifier(nn.Module):
    """log p(y | x_t, t) for the eight modes, trained on noised points."""

    def __init__(self, model: Diffusion):
        super().__init__()
        self.schedule, self.scale = model.schedule, model.SCALE
        self.network = perceptron(2 + 1, 64, MODES)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x: x_t as the model sees it, [N, 2]; t: int64 [N]; result: [N, MODES], logarithms of probabilities."""
        return F.log_softmax(self.network(torch.cat([x, t[:, None] / self.schedule.T], 1)), 1)

    def fit(self, steps: int, bar, rows: int = 256):
        """Cross entropy on points of the data, noised to a random timestep."""

        def loss() -> torch.Tensor:
            y, t = torch.randint(MODES, (rows,)), torch.randint(self.schedule.T, (rows,))
            x0 = (CENTRES[y] + SD * torch.randn(rows, 2)) / self.scale
            x = diffusion.q_sample(self.schedule, x0[:, :, None, None], t, torch.randn(rows, 2, 1, 1))[:, :, 0, 0]
            return F.nll_loss(self(x, t), y)

        optimise(self.parameters(), loss, steps, bar, lr=LEARNING_RATE)


def gradient(classifier, x: torch.Tensor, t: torch.Tensor, target: int) -> torch.Tensor:
    """grad log p(target | x_t) with respect to x_t, like x: [N, 2]."""
    x = x.detach().requires_grad_()
    (found,) = torch.autograd.grad(classifier(x, t)[:, target].sum(), x)
    return found


@torch.no_grad()
def guided(model: Diffusion, classifier, target: int, scale: float, rows: int, seed: int) -> torch.Tensor:
    """Samples [rows, 2] of the class `target`, guided with the scale s; 0 is plain sampling with the same noise."""
    torch.manual_seed(seed)
    x = torch.randn(rows, 2, 1, 1)
    abars = [1.0, *model.schedule.abar.tolist()]
    for step in reversed(range(model.schedule.T)):
        abar, before = abars[step + 1], abars[step]
        t = torch.full((rows,), step)
        moved = diffusion.ddpm_step(abar, before, x, model.x0(x, t), torch.randn(x.shape))
        with torch.enable_grad():
            shift = gradient(classifier, x[:, :, 0, 0], t, target)
        x = moved + scale * diffusion.posterior_variance(abar, before) * shift[:, :, None, None]
    return x[:, :, 0, 0] * model.SCALE


def main():
    parser = options(__doc__, steps=3_000, figure="guidance.png")
    parser.add_argument("--samples", type=int, default=4000, help="samples for each scale (default: 4000)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = Diffusion()
    classifier = Classifier(model)
    with progress(2 * args.steps, "guidance") as bar:
        model.fit(args.steps, bar)
        classifier.fit(args.steps, bar)
    result = {}
    figure, axes = plt.subplots(1, len(SCALES), figsize=(2.6 * len(SCALES), 2.8), layout="constrained")
    for axis, scale in zip(axes, SCALES, strict=True):
        x = guided(model, classifier, TARGET, scale, args.samples, args.seed)
        share = float((torch.cdist(x, CENTRES).argmin(1) == TARGET).float().mean())
        spread = float((x - CENTRES[TARGET]).std()) if share > 0.5 else None
        result[f"{scale:g}"] = {"target_share": share, "stray": modes_and_stray(x)[1], "sd": spread}
        axis.scatter(*x[:2000].T, s=1, color="tab:blue")
        axis.scatter(*CENTRES[TARGET], s=40, facecolors="none", edgecolors="tab:red")
        axis.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[])
        axis.set_title(f"s = {scale:g}", fontsize=10)
    save(figure, args.figure)
    finish(result)


if __name__ == "__main__":
    main()
