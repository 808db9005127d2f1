"""How pictures are distributed, in a few simple features: what the service holds its input against.

    python drift.py ../models/celeba-inpaint-64/1        # compute, and write into the model's card

The features of a picture, x in -1..1 at the model's resolution, are taken over its known pixels (mask 0): of luma
Y = 0.299 R + 0.587 G + 0.114 B and of the colour differences R - G and G - B the mean and the log of the standard
deviation; and the log of the mean absolute step of Y to the right and down, between known neighbours. On a log scale they
are bell-shaped. src/image/drift.ts computes the same; tests/vectors/drift.json holds it to this.

A picture's distance is the root mean square of its standardised features: 1 is usual, and what is far above is unlike
anything the model was trained on.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import masks
from data import load_faces

FEATURES = ["luma", "red_green", "green_blue", "luma_contrast", "red_green_contrast", "green_blue_contrast", "detail_x", "detail_y"]
FLOOR = 1e-3  # under the logarithms: a flat picture has a distance too
LEAST_KNOWN = 0.05  # of the pixels: of fewer, features say little


def features(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """[N, 8] of pictures x [N, R, R, 3] in -1..1 with mask [N, R, R], True in the hole; every picture has known neighbours."""
    x = x.astype(np.float64)
    r, g, b = x[..., 0], x[..., 1], x[..., 2]
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    known = ~mask
    mean = lambda values, where: (values * where).sum((1, 2)) / where.sum((1, 2))  # noqa: E731
    planes = [luma, r - g, g - b]
    means = [mean(p, known) for p in planes]
    deviations = [np.sqrt(mean((p - m[:, None, None]) ** 2, known)) for p, m in zip(planes, means, strict=True)]
    right = mean(np.abs(np.diff(luma, axis=2)), known[:, :, 1:] & known[:, :, :-1])
    down = mean(np.abs(np.diff(luma, axis=1)), known[:, 1:] & known[:, :-1])
    return np.stack([*means, *(np.log(v + FLOOR) for v in (*deviations, right, down))], 1)


def statistics(faces: np.ndarray, seed: int = 0, batch: int = 256) -> dict:
    """Mean and standard deviation of each feature over uint8 pictures [N, R, R, 3], under the masks of training."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(0, len(faces), batch):
        x = faces[i : i + batch]
        holes = np.stack([masks.training_mask(rng, x.shape[1]) for _ in x]).astype(bool)
        seen = (~holes).mean((1, 2)) >= LEAST_KNOWN
        if seen.any():
            rows.append(features(x[seen].astype(np.float32) / 127.5 - 1, holes[seen]))
    all_rows = np.concatenate(rows)
    mean, std = all_rows.mean(0), all_rows.std(0)
    return {name: {"mean": round(float(m), 4), "std": round(float(s), 4)} for name, m, s in zip(FEATURES, mean, std, strict=True)}


def distance(found: np.ndarray, known: dict) -> np.ndarray:
    """[N] of features [N, 8]: the root mean square of the standardised ones."""
    mean, std = (np.array([known[name][what] for name in FEATURES]) for what in ("mean", "std"))
    return np.sqrt((((found - mean) / std) ** 2).mean(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="models/<id>/<version>")
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data" / "celeba")
    args = parser.parse_args()
    file = args.folder / "model.json"
    card = json.loads(file.read_text())
    card["data"]["statistics"] = statistics(load_faces(args.data, card["resolution"], "train"))
    file.write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card["data"]["statistics"], indent=2))


if __name__ == "__main__":
    main()
