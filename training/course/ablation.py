"""What each improvement of Dhariwal and Nichol's U-Net is worth, on small networks and short runs.

    python course/ablation.py           # 20 minutes on one core; writes docs/course/ablation.png

"Diffusion Models Beat GANs on Image Synthesis" (NeurIPS 2021), section 3. The base network is built like that of DDPM, with
strided convolutions, one attention head and the embedding of t added, but has attention in the middle alone. Each other row changes
one option of [model], the last one all. All networks fill holes in faces of 32 px, see the same batches, and are compared by
their losses on held-out faces. The same network trained with other seeds gives the spread: a difference below twice the spread
says nothing.
"""

import itertools
import statistics
import tempfile
from pathlib import Path

import torch
from command import finish, options, plt, progress, save

from batches import Sources
from stages import BaseStage
from train import HERE, Training

BASE = {"resolution": 32, "channels": [32, 64, 96], "blocks": 1, "attention": [], "heads": 1, "adaptive_norm": False}
VARIANTS = {
    "DDPM's network": {},
    "attention at 16, 8 and 4": {"attention": [16, 8, 4]},
    "head of 32 channels": {"heads": 0, "head_dim": 32},
    "BigGAN resampling": {"resample": "biggan"},
    "adaptive norm": {"adaptive_norm": True},
    "all four": {"attention": [16, 8, 4], "heads": 0, "head_dim": 32, "resample": "biggan", "adaptive_norm": True},
}
MEASURES = ("validation", "x0_error")


def config_of(variant: dict, steps: int, seed: int) -> dict:
    """The config of a run, see configs/. variant: options of [model] that differ from BASE."""
    return {
        "id": "ablation",
        "model": {**BASE, **variant},
        "schedule": {"type": "cosine", "T": 1000},
        "mix": {"zoom": 0, "zoom_from": 0, "photos": 0, "photos_data": ""},
        "loss": {"snr_cap": 5.0, "weight_floor": 0.4},
        "train": {
            "steps": steps,
            "batch": 16,
            "muon_lr": 0.003,
            "adam_lr": 0.0005,
            "warmup": 30,
            "decay": 0.4,
            "clip": 1.0,
            "ema": 0.99,
            "seed": seed,
        },
    }


def trained(variant: dict, steps: int, seed: int, sources: Sources, held_out: Sources, bar) -> dict:
    """The measures of BaseStage.validate for a network that was trained for `steps` steps."""
    with tempfile.TemporaryDirectory() as run:
        torch.manual_seed(seed)
        training = Training(config_of(variant, steps, seed), Path(run), "cpu", "fp32", compiled=False)
        for batch in itertools.islice(training.batches(sources, workers=0), steps):
            training.train_step(batch, training.progress())
            bar.update()
        with training.ema.applied(), torch.no_grad():
            return training.stage.validate(training.model, held_out, "cpu")


def compared(runs: dict[str, list[dict]]) -> dict:
    """{variant: {measure: mean over seeds, ..., "claim": measures whose difference to the first variant exceeds twice the spread}}.

    runs: the measures of each seed. The spread is the standard deviation over seeds, pooled over variants, of a difference
    between two means.
    """
    seeds = len(next(iter(runs.values())))
    spread = {}
    for measure in MEASURES:
        pooled = statistics.fmean(statistics.variance([run[measure] for run in found]) for found in runs.values()) if seeds > 1 else 0.0
        spread[measure] = (2 * pooled / seeds) ** 0.5
    means = {name: {m: statistics.fmean(run[m] for run in found) for m in MEASURES} for name, found in runs.items()}
    first = next(iter(means.values()))
    claims = {name: [m for m in MEASURES if seeds > 1 and abs(mean[m] - first[m]) > 2 * spread[m]] for name, mean in means.items()}
    return {**{name: {**mean, "claim": claims[name]} for name, mean in means.items()}, "spread": spread}


def main():
    parser = options(__doc__, steps=300, figure="ablation.png")
    parser.add_argument("--data", type=Path, default=HERE / "data" / "celeba", help="the data set")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each network (default: 2)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    stage = BaseStage(config_of({}, args.steps, args.seed))
    sources, held_out = (stage.load(args.data, args.data, split) for split in ("train", "validation"))
    runs = {name: [] for name in VARIANTS}
    with progress(len(VARIANTS) * args.seeds * args.steps, "ablation") as bar:
        for seed in range(args.seed, args.seed + args.seeds):
            for name, variant in VARIANTS.items():
                runs[name].append(trained(variant, args.steps, seed, sources, held_out, bar))
    figure, axes = plt.subplots(1, len(MEASURES), figsize=(8, 2.6), sharey=True, layout="constrained")
    for axis, measure in zip(axes, MEASURES, strict=True):
        for row, found in enumerate(runs.values()):
            axis.plot([run[measure] for run in found], [row] * len(found), "o", color="tab:blue", alpha=0.7)
        axis.set(title=measure, yticks=range(len(runs)), yticklabels=list(runs))
    axes[0].invert_yaxis()
    save(figure, args.figure)
    finish(compared(runs))


if __name__ == "__main__":
    main()
