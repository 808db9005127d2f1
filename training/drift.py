"""Statistics of the training pictures, with which the service compares its input to detect drift.

    python drift.py ../models/celeba-inpaint-64/1        # compute the statistics and write them to the model card

The eight features of a picture (x in -1..1, at the model's resolution) are computed over its known pixels (mask 0):

- the mean, and the log of the standard deviation, of the luma Y = 0.299 R + 0.587 G + 0.114 B and of the colour
  differences R - G and G - B;
- the log of the mean absolute difference of Y between known neighbours, horizontally and vertically.

The logarithms make the distributions roughly normal. src/image/drift.ts computes the same features, and is checked against
tests/vectors/diffusion.json.

The distance of a picture is the root mean square of its standardised features. It is about 1 for training pictures; much
larger values mean that a picture is unlike the training data.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import masks
from data import loaded
from files import write_json
from register import opened_card
from terms import pictures_of

FEATURES = ["luma", "red_green", "green_blue", "luma_contrast", "red_green_contrast", "green_blue_contrast", "detail_x", "detail_y"]
FLOOR = 1e-3  # added before each logarithm, so that a picture of one colour has finite features
LEAST_KNOWN = 0.05  # minimum share of known pixels; with fewer, the features are not reliable


def features(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Features of the known pixels, float64 [N, 8], in the order of FEATURES.

    x: [N, R, R, 3] in -1..1; mask: bool [N, R, R], True in the hole. Each picture needs a pair of known neighbours in both directions.
    """
    x = x.astype(np.float64)
    r, g, b = x[..., 0], x[..., 1], x[..., 2]
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    known = ~mask

    def mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        return (values * where).sum((1, 2)) / where.sum((1, 2))

    planes = [luma, r - g, g - b]
    means = [mean(p, known) for p in planes]
    deviations = [np.sqrt(mean((p - m[:, None, None]) ** 2, known)) for p, m in zip(planes, means, strict=True)]
    right = mean(np.abs(np.diff(luma, axis=2)), known[:, :, 1:] & known[:, :, :-1])
    down = mean(np.abs(np.diff(luma, axis=1)), known[:, 1:] & known[:, :-1])
    return np.stack([*means, *(np.log(v + FLOOR) for v in (*deviations, right, down))], 1)


def statistics(faces: np.ndarray, seed: int = 0, batch: int = 256) -> dict:
    """{feature: {"mean", "std"}} over the faces, uint8 [N, R, R, 3], with random training masks."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(0, len(faces), batch):
        x = faces[i : i + batch]
        holes = np.stack([masks.training_mask(rng, x.shape[1]) for _ in x]).astype(bool)
        seen = (~holes).mean((1, 2)) >= LEAST_KNOWN
        if seen.any():
            rows.append(features(x[seen].astype(np.float32) / 127.5 - 1, holes[seen]))
    all_rows = np.concatenate(rows)
    mean, std = all_rows.mean(0), np.maximum(all_rows.std(0), FLOOR)  # 0 for the colours of grey pictures
    return {name: {"mean": round(float(m), 4), "std": round(float(s), 4)} for name, m, s in zip(FEATURES, mean, std, strict=True)}


def distance(found: np.ndarray, known: dict) -> np.ndarray:
    """Root mean square of the standardised features, [N]. found: features [N, 8]; known: from `statistics`."""
    mean, std = (np.array([known[name][what] for name in FEATURES]) for what in ("mean", "std"))
    return np.sqrt((((found - mean) / std) ** 2).mean(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="models/<id>/<version>")
    parser.add_argument("--data", type=Path, help="the pictures that the model was trained on (default: data/celeba, for a model of CelebA)")
    args = parser.parse_args()
    card = opened_card(args.folder)
    card["data"]["statistics"] = statistics(loaded(pictures_of(card, args.data), card["resolution"], "train"))
    write_json(args.folder / "model.json", card)
    print(json.dumps(card["data"]["statistics"], indent=2))


if __name__ == "__main__":
    main()
