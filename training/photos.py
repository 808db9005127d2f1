"""Make a data set of square crops from photographs, at several scales, for the photograph share of the training mix.

    python photos.py data/photos "/usr/share/backgrounds/mate=GPL-2+, CC-BY-SA-4.0 (mate-backgrounds)" [FOLDER=LICENCE ...]

Each photograph is halved again and again; at each scale at most --crops random squares are kept. The output has
the layout that data.py reads (manifest.csv and a tar archive), with a photograph as the `identity`, so that no
photograph is in two splits; every tenth is for testing. sources.csv lists each photograph with its licence.
"""

import argparse
import csv
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from data import SUFFIXES

Image.MAX_IMAGE_PIXELS = None  # the pictures are the user's own; wallpapers exceed Pillow's default limit
TEST_EVERY = 10


def scales(picture: Image.Image, side: int, largest: int) -> list[Image.Image]:
    """The picture at 1, 1/2, 1/4, ... of its size: those between `side` (shorter edge) and `largest` (longer edge)."""
    out = []
    while min(picture.size) >= side:
        if max(picture.size) <= largest:
            out.append(picture)
        picture = picture.resize((picture.width // 2, picture.height // 2), Image.LANCZOS)
    return out


def thumbnail(picture: Image.Image) -> np.ndarray:
    """float [16, 16], 0..255: equal, within a few units, for the same photograph at another size."""
    return np.asarray(picture.convert("L").resize((16, 16), Image.BOX), float)


def crops(rng: np.random.Generator, picture: Image.Image, side: int, count: int) -> list[Image.Image]:
    """At most `count` squares of `side` px at random places: no more than would tile the picture."""
    count = min(count, (picture.width // side) * (picture.height // side))
    corners = [(int(rng.integers(0, picture.width - side + 1)), int(rng.integers(0, picture.height - side + 1))) for _ in range(count)]
    return [picture.crop((x, y, x + side, y + side)) for x, y in corners]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("sources", nargs="+", metavar="FOLDER=LICENCE")
    parser.add_argument("--side", type=int, default=256, help="of a crop, in pixels")
    parser.add_argument("--crops", type=int, default=24, help="of one photograph at one scale, at most")
    parser.add_argument("--largest", type=int, default=4000, help="longer edge of the largest scale that is used, in pixels")
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    args.out.mkdir(parents=True, exist_ok=True)
    seen, listed, sources = [], [], []
    with tarfile.open(args.out / "crops.tar", "w") as tar:
        for source in args.sources:
            folder, separator, licence = source.partition("=")
            if not (separator and licence):
                parser.error(f"{source!r}: give the licence of each folder, as FOLDER=LICENCE")
            for path in sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES):
                with Image.open(path) as image:
                    picture = image.convert("RGB")
                small = thumbnail(picture)
                if min(picture.size) < 2 * args.side or any(np.abs(small - other).mean() < 4 for other in seen):
                    continue  # too small to have scales, or the same photograph at another size
                seen.append(small)
                split = "test" if len(seen) % TEST_EVERY == 0 else "train"
                sources.append((len(seen), path, licence))
                for level in scales(picture, args.side, args.largest):
                    for crop in crops(rng, level, args.side, args.crops):
                        name = f"{len(listed):06}.webp"
                        buffer = io.BytesIO()
                        crop.save(buffer, "webp", quality=95)
                        member = tarfile.TarInfo(name)
                        member.size = buffer.tell()
                        tar.addfile(member, io.BytesIO(buffer.getvalue()))
                        listed.append((name, "crops.tar", len(seen), split))
    for name, header, rows in [
        ("manifest.csv", ("file", "archive", "identity", "split"), listed),
        ("sources.csv", ("identity", "path", "licence"), sources),
    ]:
        with (args.out / name).open("w", newline="") as f:
            csv.writer(f).writerows([header, *rows])
    print(f"{len(listed)} crops of {len(sources)} photographs in {args.out}")


if __name__ == "__main__":
    main()
