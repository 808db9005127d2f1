"""Pictures as one array: decoded once, shrunk to the model's resolution, cached as .npy.

Two sources are understood:
- a folder with `manifest.csv` (columns file, archive, identity, split) and the tar archives it
  names: what `data/celeba` holds;
- any folder of pictures, for people with their own: centre-cropped to a square, every 50th kept
  for testing.
"""

import csv
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

CACHE = Path(__file__).parent / ".cache"
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
TEST_EVERY = 50


def load_faces(root: str | Path, resolution: int, split: str) -> np.ndarray:
    """All pictures of `split` ("train" or "test") as uint8 [N, resolution, resolution, 3].

    Order is that of the manifest (or of the sorted file names), so fixed draws stay fixed.
    Raises FileNotFoundError when `root` holds no pictures, ValueError for an unknown split.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no data folder at {root}: link or copy your pictures there, or pass --data")
    cache = CACHE / f"{_fingerprint(root)}-{resolution}-{split}.npy"
    if not cache.exists():
        faces = _decode(_manifest(root, split) if (root / "manifest.csv").exists() else _folder(root, split), resolution)
        if len(faces) == 0:
            raise FileNotFoundError(f"no {split} pictures of at least {resolution} px under {root}")
        CACHE.mkdir(exist_ok=True)
        part = cache.with_suffix(".part")
        with part.open("wb") as f:
            np.save(f, faces)
        part.rename(cache)
    return np.load(cache)


def check(root: str | Path, resolution: int) -> dict:
    """What a data set holds, in figures: for the first step of the pipeline."""
    out = {}
    for split in ("train", "test"):
        x = load_faces(root, resolution, split).astype(np.float32) / 127.5 - 1
        out[split] = {"pictures": len(x), "mean": x.mean(axis=(0, 1, 2)).round(4).tolist(), "std": x.std(axis=(0, 1, 2)).round(4).tolist()}
    return out


def _fingerprint(root: Path) -> str:
    manifest = root / "manifest.csv"
    listing = manifest.read_bytes() if manifest.exists() else "\n".join(p.name for p in _pictures(root)).encode()
    return hashlib.sha256(listing).hexdigest()[:12]


def _manifest(root: Path, split: str):
    with (root / "manifest.csv").open(newline="") as f:
        wanted = {row["file"]: (i, row["archive"]) for i, row in enumerate(csv.DictReader(f)) if row["split"] == split}
    found = {}
    for archive in sorted({archive for _, archive in wanted.values()}):
        with tarfile.open(root / archive) as tar:
            for member in tar:
                if member.isfile() and (name := Path(member.name).name) in wanted:
                    found[wanted[name][0]] = tar.extractfile(member).read()
    for i in sorted(found):
        yield io.BytesIO(found[i])


def _pictures(root: Path) -> list[Path]:
    return sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)


def _folder(root: Path, split: str):
    for i, path in enumerate(_pictures(root)):
        if (i % TEST_EVERY == 0) == (split == "test"):
            yield path


def _decode(sources, resolution: int) -> np.ndarray:
    faces = []
    for source in sources:
        with Image.open(source) as image:
            rgb = image.convert("RGB")
        side = min(rgb.size)
        if side < resolution:
            continue  # enlarging would teach the model blur
        left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
        square = rgb.crop((left, top, left + side, top + side))
        faces.append(np.asarray(square if side == resolution else square.resize((resolution, resolution), Image.LANCZOS)))
    return np.stack(faces) if faces else np.empty((0, resolution, resolution, 3), np.uint8)


if __name__ == "__main__":
    import argparse
    import json

    parser = argparse.ArgumentParser(description="Check a data set: how many pictures, and how they are distributed.")
    parser.add_argument("--data", default=Path(__file__).parent / "data" / "celeba")
    parser.add_argument("--resolution", type=int, default=64)
    args = parser.parse_args()
    print(json.dumps(check(args.data, args.resolution), indent=2))
