"""Make a data set of square crops from photographs, at several scales, for the photograph share of the training mix.

    python photos.py data/photos "/usr/share/backgrounds/mate=GPL-2+, CC-BY-SA-4.0 (mate-backgrounds)" [FOLDER=LICENCE ...]

Each photograph is halved repeatedly, and at most --crops random squares are kept at each scale. The output has
the layout that data.py reads (manifest.csv and a tar archive), with a photograph as the `identity`, so that no
photograph is in two splits. One photograph in ten is for testing. A hash of its file names a photograph, and chooses its split
and its crops, so that these stay the same when photographs are added or the sources change their order. sources.csv lists each
photograph with its licence, and export.py lists the licences in the model card. A name in brackets at the end of a licence is that
of the source.
"""

import argparse
import csv
import io
import re
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from data import SUFFIXES, file_digest, held_out, identities, opened

Image.MAX_IMAGE_PIXELS = None  # the pictures are the user's own; wallpapers exceed Pillow's default limit
TEST_BUCKETS = 10
CROPS_SIDE = 256
"""Side of a crop, in pixels, unless --side says otherwise."""


def scales(picture: Image.Image, side: int, largest: int) -> list[Image.Image]:
    """The picture at 1, 1/2, 1/4, ... of its size, if the shorter edge is at least `side` and the longer one at most `largest` px."""
    out = []
    while min(picture.size) >= side:
        if max(picture.size) <= largest:
            out.append(picture)
        picture = picture.resize((picture.width // 2, picture.height // 2), Image.LANCZOS)
    return out


def thumbnail(picture: Image.Image) -> np.ndarray:
    """Grey levels, float [16, 16] in 0..255, nearly equal for copies of a photograph in different sizes."""
    return np.asarray(picture.convert("L").resize((16, 16), Image.BOX), float)


def crops(rng: np.random.Generator, picture: Image.Image, side: int, count: int) -> list[Image.Image]:
    """At most `count` squares of `side` px at random positions, and not more than would tile the picture."""
    count = min(count, (picture.width // side) * (picture.height // side))
    corners = [(int(rng.integers(0, picture.width - side + 1)), int(rng.integers(0, picture.height - side + 1))) for _ in range(count)]
    return [picture.crop((x, y, x + side, y + side)) for x, y in corners]


def listed(folder: Path) -> list[dict]:
    """The sources of the training photographs in a folder, for the model card: name, licence, and number of photographs.

    Without a sources.csv, the licence is "unknown". Raises ValueError if sources.csv does not list a photograph.
    """
    file, counts = folder / "sources.csv", {}
    photographs = identities(folder, "train")
    if not file.exists():
        return [{"name": "photographs", "licence": "unknown", "pictures": len(photographs)}]
    with file.open(newline="") as f:
        licences = {row["identity"]: row["licence"] for row in csv.DictReader(f)}
    for identity in photographs:
        if identity not in licences:
            raise ValueError(f"{file} does not list the licence of photograph {identity}: make the folder with photos.py")
        counts[licences[identity]] = counts.get(licences[identity], 0) + 1
    out = []
    for text, pictures in sorted(counts.items()):
        licence, name = re.fullmatch(r"(.*?)(?: \(([^()]*)\))?", text).groups()
        out.append({"name": name or "photographs", "licence": licence, "pictures": pictures})
    return out


def found(sources: list[str]) -> list[tuple[Path, str]]:
    """The photographs in the folders of `sources`, each FOLDER=LICENCE, with their licences.

    Raises ValueError if a source has no licence, or no folder with photographs.
    """
    out = []
    for source in sources:
        folder, separator, licence = source.partition("=")
        if not (separator and licence):
            raise ValueError(f"{source!r} has no licence: write FOLDER=LICENCE")
        if not Path(folder).is_dir():
            raise ValueError(f"there is no folder {folder}")
        paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise ValueError(f"there are no photographs in {folder}")
        out += [(path, licence) for path in paths]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the data set")
    parser.add_argument("sources", nargs="+", metavar="FOLDER=LICENCE", help="a folder of photographs and their licence")
    parser.add_argument("--side", type=int, default=CROPS_SIDE, help="side of a crop, in pixels")
    parser.add_argument("--crops", type=int, default=24, help="maximum number of crops per photograph and scale")
    parser.add_argument("--largest", type=int, default=4000, help="maximum longer edge of a scale, in pixels")
    args = parser.parse_args()
    try:
        photographs = found(args.sources)
    except ValueError as error:
        parser.error(str(error))

    args.out.mkdir(parents=True, exist_ok=True)
    # Nothing replaces the old data set before all of the new one is written.
    parts = {name: args.out / f"{name}.part" for name in ("crops.tar", "sources.csv", "manifest.csv")}
    seen, listed, sources = [], [], []
    with tarfile.open(parts["crops.tar"], "w") as tar:
        # In the order of the hashes: which of two duplicates is kept does not depend on the order of the sources.
        for digest, path, licence in sorted((file_digest(path), path, licence) for path, licence in photographs):
            try:
                picture = opened(path, path)
            except ValueError as error:
                raise SystemExit(str(error)) from error
            small = thumbnail(picture)
            if min(picture.size) < 2 * args.side or any(np.abs(small - other).mean() < 4 for other in seen):
                continue  # too small for two scales, or a duplicate in another size
            seen.append(small)
            identity, rng = digest[:16], np.random.default_rng(int(digest, 16))
            sources.append((identity, path, licence))
            for level in scales(picture, args.side, args.largest):
                for crop in crops(rng, level, args.side, args.crops):
                    name = f"{len(listed):06}.webp"
                    buffer = io.BytesIO()
                    crop.save(buffer, "webp", quality=95)
                    member = tarfile.TarInfo(name)
                    member.size = buffer.tell()
                    tar.addfile(member, io.BytesIO(buffer.getvalue()))
                    listed.append((name, "crops.tar", identity))
    test = held_out({identity for identity, *_ in sources}, TEST_BUCKETS)
    listed = [(*row, "test" if row[-1] in test else "train") for row in listed]
    for name, header, rows in [
        ("manifest.csv", ("file", "archive", "identity", "split"), listed),
        ("sources.csv", ("identity", "path", "licence"), sources),
    ]:
        with parts[name].open("w", newline="") as f:
            csv.writer(f).writerows([header, *rows])
    if not listed:
        for part in parts.values():
            part.unlink()
        raise SystemExit(f"none of the {len(photographs)} photographs is large enough: their shorter edge must have {2 * args.side} px (2 * --side)")
    for name, part in parts.items():
        part.rename(args.out / name)
    print(f"{len(listed)} crops of {len(sources)} photographs in {args.out}")


if __name__ == "__main__":
    main()
