"""Compare the refiner with transferring high bands from known patches, on holes in photographs of 256 px.

    python high_bands.py --url http://127.0.0.1:8000 --photos data/photos          # a few minutes on two cores

Contextual residual aggregation (HiFill: Yi et al., CVPR 2020) fills a hole coarsely, and adds the high bands of known patches that
look alike: residual = picture - enlarged(shrunk(picture)). Its weights are those of the attention of its network; here, the
softmax of the cosine similarity of coarse patches. Both methods start from the same coarse fill: the service's, shrunk by 4.
The table and the sheet go to --out. See docs/decisions/.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from arguments import positive
from scores import sharpness
from sharp import HERE, fill_all, holed, sheet, test_photographs

SIDE, HOLE, FACTOR, PATCH, SHARPENING = 256, 96, 4, 4, 50.0


def shrunk(picture: np.ndarray, factor: int = FACTOR) -> np.ndarray:
    """The mean of each factor x factor pixels. picture: [H, W, 3]; result: float32 [H / factor, W / factor, 3]."""
    size = (picture.shape[1] // factor, picture.shape[0] // factor)
    return cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def enlarged(picture: np.ndarray, factor: int = FACTOR) -> np.ndarray:
    """Bicubic. picture: float32 [H, W, 3]."""
    size = (picture.shape[1] * factor, picture.shape[0] * factor)
    return cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)


def patches(picture: np.ndarray, side: int) -> np.ndarray:
    """The patches of a grid, [H / side * W / side, side * side * C]. picture: [H, W, C]."""
    h, w, c = picture.shape
    grid = picture.reshape(h // side, side, w // side, side, c).swapaxes(1, 2)
    return grid.reshape(-1, side * side * c)


def transferred(picture: np.ndarray, filled: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The enlarged coarse fill with the high bands of known patches: uint8 [H, W, 3].

    picture: the original, uint8 [H, W, 3], of which known pixels are used; filled: uint8 [H, W, 3], used shrunk; hole: bool [H, W].
    """
    coarse = shrunk(filled)
    seen = patches(coarse, PATCH)
    seen = seen - seen.mean(1, keepdims=True)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True) + 1e-6
    covered = patches(hole[..., None].astype(np.float32), PATCH * FACTOR).max(1) > 0
    residual = picture - enlarged(shrunk(picture))
    high = patches(residual, PATCH * FACTOR)
    weights = np.exp(SHARPENING * (seen[covered] @ seen[~covered].T - 1))
    high[covered] = weights / weights.sum(1, keepdims=True) @ high[~covered]
    side, grid = PATCH * FACTOR, picture.shape[0] // (PATCH * FACTOR)
    bands = high.reshape(grid, grid, side, side, 3).swapaxes(1, 2).reshape(picture.shape)
    found = np.clip(enlarged(coarse) + bands, 0, 255).round().astype(np.uint8)
    return np.where(hole[..., None], found, picture)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="address of the service")
    parser.add_argument("--photos", type=Path, default=HERE / "data" / "photos", help="folder made by photos.py")
    parser.add_argument("--count", type=positive, default=24, help="photographs (default: 24)")
    parser.add_argument("--out", type=Path, default=HERE.parent / "eval", help="folder for the sheet")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pictures = test_photographs(args.photos, SIDE, args.count)
    holes = np.zeros(pictures.shape[:3], bool)
    edge = (SIDE - HOLE) // 2
    holes[:, edge : edge + HOLE, edge : edge + HOLE] = True
    refined = fill_all(args.url, pictures, holes, 2)[0]
    triples = list(zip(pictures, refined, holes, strict=True))
    plain = np.stack([np.where(h[..., None], np.clip(enlarged(shrunk(f)), 0, 255).astype(np.uint8), p) for p, f, h in triples])
    bands = np.stack([transferred(p, f, h) for p, f, h in triples])
    print("| | sharpness, all | median of photographs | outside 0.75 to 1.25 |\n| --- | --- | --- | --- |")
    for name, found in [("enlarged", plain), ("high bands transferred", bands), ("refiner", refined)]:
        each = np.array([sharpness(found[i : i + 1], pictures[i : i + 1], holes[i : i + 1]) or np.nan for i in range(len(pictures))])
        outside = int(((each < 0.75) | (each > 1.25)).sum())
        print(f"| {name} | {sharpness(found, pictures, holes):.2f} | {np.nanmedian(each):.2f} | {outside} of {len(each)} |")
    shown = slice(0, 8)
    sheet([holed(pictures, holes)[shown], plain[shown], bands[shown], refined[shown], pictures[shown]], args.out / "high-bands.png")


if __name__ == "__main__":
    main()
