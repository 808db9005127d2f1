"""Compare ways to sample the refiner: at which timestep it starts, how much the coarse fill is sharpened, and the number of steps.

    python refining.py ../models/celeba-inpaint-64/6 --faces 96 --first 999,900 --sharpen 0,0.3 --threads 1

The base model fills the middle of validation faces at half of their resolution; the refiner then doubles it, with DPM++ (2M), in one
window. For each setting: sharpness as a share of the originals', L1 over the hole, and the Frechet distance between face
descriptors of the fills and of the originals, which compares with others of the same number of faces alone. Beside them, the
same for shrunk originals in place of the base model's fills: the most that this refiner can reach.
"""

import argparse
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

import diffusion
from arguments import positive, several
from batches import pixels, scaled
from data import loaded
from inference import Sampler, sampled
from refiner import Refiner, enlarge_coarse, load_refiner, refiner_input, sharpened, sharpening
from register import trained_card
from scores import descriptors, frechet, hole_l1, sharpness
from sharp import face_box
from terms import pictures_of

BATCH = 8


@torch.no_grad()
def refine(
    model: Refiner, card: dict, pictures: np.ndarray, holes: np.ndarray, coarse: np.ndarray, first: int, sharpen: float, steps: int
) -> np.ndarray:
    """The pictures uint8 [N, R, R, 3] with their holes, bool [N, R, R], refined from coarse fills, uint8 [N, R/2, R/2, 3].

    card: the section about the refiner; first: the first timestep, where x is the enlarged fill with noise, or T-1 for pure noise;
    sharpen: see refiner.sharpening, or 0.
    """
    schedule, sampling = diffusion.schedule_of(card), diffusion.sampling_of(card)
    ts = diffusion.timesteps(schedule, steps, "log_snr", sampling["final_timestep"], first)
    out = []
    for i in range(0, len(pictures), BATCH):
        known, fills = (scaled(torch.tensor(p[i : i + BATCH])) for p in (pictures, coarse))
        mask = torch.tensor(holes[i : i + BATCH])[:, None].float()
        draws = torch.Generator().manual_seed(i)
        level = torch.full((len(known), 1, 1, 1), card["level"])
        noise = partial(torch.randn, known.shape, generator=draws)
        amount = sharpening(fills, F.max_pool2d(mask, 2), sharpen) if sharpen else 0
        fills = enlarge_coarse(sharpened(fills, amount)) + card["level"] * noise()
        x = noise()
        if first < schedule.T - 1:
            x = diffusion.q_sample(schedule, fills, torch.full((len(x),), first), x)
        seen = (known, fills, mask, level)
        x = sampled("dpmpp_2m", schedule, card["prediction"], ts, lambda x_t, t, seen=seen: model(refiner_input(x_t, *seen), t), x, noise)
        out.append(np.where(holes[i : i + BATCH, :, :, None], pixels(x), pictures[i : i + BATCH]))
    return np.concatenate(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="models/<id>/<version>, with a refiner")
    parser.add_argument("--data", type=Path, help="the data set (default: data/celeba, for a model of CelebA)")
    parser.add_argument("--faces", type=several, default=96, help="validation faces to fill (default: 96)")
    parser.add_argument("--first", default="999,900,800", help="first timesteps (default: 999,900,800)")
    parser.add_argument(
        "--sharpen", default="0,0.2,0.4", help="amounts of the unsharp mask for fills as sharp as their surroundings; 0: none (default: 0,0.2,0.4)"
    )
    parser.add_argument("--steps", default="6", help="numbers of steps (default: 6)")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    card = trained_card(args.folder)
    if "refiner" not in card:
        raise SystemExit(f"{args.folder} has no refiner")
    half, defaults, sampling = card["resolution"], card["defaults"], diffusion.sampling_of(card)
    pictures = np.asarray(loaded(pictures_of(card, args.data), 2 * half, "validation", 2)[: args.faces])
    n = len(pictures)
    holes = np.stack([face_box(np.random.default_rng(i), 2 * half) for i in range(n)])
    small = np.stack([cv2.resize(picture, (half, half), interpolation=cv2.INTER_AREA) for picture in pictures])
    small_holes = holes.reshape(n, half, 2, half, 2).any((2, 4))
    settings = (defaults["sampler"], defaults["steps"], defaults["eta"], sampling["spacing"], sampling["final_timestep"])
    base = Sampler(args.folder, *settings, "cpu", BATCH, args.threads)
    with tqdm(total=n * base.steps, unit="row", mininterval=10, leave=False) as bar:
        fills = base.fill(small, small_holes, [1000 * i for i in range(n)], bar)
    model = load_refiner(args.folder / "refiner.safetensors", card["refiner"]["architecture"])
    reference = descriptors(pictures)
    print("| coarse fill | first timestep | sharpen | steps | sharpness | L1 | Frechet distance |\n| --- | --- | --- | --- | --- | --- | --- |")
    choices = [list(map(kind, getattr(args, name).split(","))) for kind, name in ((int, "first"), (float, "sharpen"), (int, "steps"))]
    for name, coarse in (("base model", fills), ("shrunk original", small)):
        for first, sharpen, steps in product(*choices):
            found = refine(model, card["refiner"], pictures, holes, coarse, first, sharpen, steps)
            scores = f"{sharpness(found, pictures, holes):.3f} | {hole_l1(found, pictures, holes):.2f} | {frechet(descriptors(found), reference):.4f}"
            print(f"| {name} | {first} | {sharpen} | {steps} | {scores} |", flush=True)


if __name__ == "__main__":
    main()
