"""Loads pictures as one array: decoded, shrunk to the model's resolution, and cached as .npy.

Two kinds of sources are supported:
- a folder with `manifest.csv` (columns file, archive, identity, split) and the tar archives that it names;
- any folder of pictures: centre-cropped to squares. A picture's identity is the hash of its file, and one identity in 50 is for testing.

Splits: `train`; `test`, only for published measurements, such as a model card's; `validation`, one training identity in 64, for
the loss curve and for choices. A manifest says which identities are for testing. Hashes choose the others (see held_out), so a
picture keeps its split when others are added or it is moved, except in sets so small that a bucket may be empty.
"""

import csv
import hashlib
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from files import replacing

CACHE = Path(__file__).parent / ".cache"
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
COLUMNS = ("file", "archive", "identity", "split")
SPLITS = ("train", "validation", "test")
TEST_BUCKETS = 50
VALIDATION_BUCKETS = 64
DECODING = 4  # increase it when `opened`, `_square` or the splits change: what the cache holds was made by them


def load_faces(root: str | Path, resolution: int, split: str) -> np.ndarray:
    """All pictures of `split` as uint8 [N, resolution, resolution, 3], memory-mapped from the cache.

    The order is that of the manifest, or else of the sorted file names, so that seeded draws are reproducible.
    Raises FileNotFoundError when `root` or the split holds no pictures, or a listed file is missing from its
    archive; ValueError for an unknown split, an unclear manifest, an identity in both `train` and `test`, or a damaged archive or picture.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no data folder at {root}: copy or link your pictures there, or pass --data")
    cache = CACHE / f"{_fingerprint(root)}-{resolution}-{split}.npy"
    if not cache.exists():
        listed = (root / "manifest.csv").exists()
        faces = _decode(_manifest(root, split) if listed else ((path, path) for path, _ in _folder(root, split)), resolution)
        if len(faces) == 0:
            few = "" if listed else " (of three pictures or more, at least one is for testing and one for validation)"
            raise FileNotFoundError(f"no {split} pictures of at least {resolution} px under {root}{few}")
        CACHE.mkdir(exist_ok=True)
        with replacing(cache) as part, part.open("wb") as f:
            np.save(f, faces)
    return np.load(cache, mmap_mode="r")


def loaded(root: str | Path, resolution: int, split: str, least: int = 1) -> np.ndarray:
    """load_faces for programs: exits with a sentence in place of an OSError or a ValueError, and for fewer than `least` pictures."""
    try:
        pictures = load_faces(root, resolution, split)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    if len(pictures) < least:
        raise SystemExit(f"at least {least} {split} pictures of {resolution} px are needed; {root} has {len(pictures)}: add pictures")
    return pictures


def check(root: str | Path, resolution: int, least_test: int = 1) -> dict:
    """The number of pictures in each split, and their mean and standard deviation per channel in -1..1. Exits as `loaded` does.

    least_test: the number of test pictures that are needed.
    """
    out, values = {}, np.arange(256) / 127.5 - 1
    for split in SPLITS:
        pictures = loaded(root, resolution, split, least_test if split == "test" else 1)
        # Of histograms, which are exact and small: sums of so many float32 values lose most of their digits.
        shares = np.stack([np.bincount(pictures[..., c].ravel(), minlength=256) for c in range(3)]) / (pictures.size / 3)
        mean = shares @ values
        std = np.sqrt(shares @ values**2 - mean**2)
        out[split] = {"pictures": len(pictures), "mean": mean.round(4).tolist(), "std": std.round(4).tolist()}
    return out


def digest(pictures: np.ndarray) -> str:
    """SHA-256 of the pixels, in hexadecimal: what results are kept under, so that they are not reused for other pictures."""
    return hashlib.sha256(np.ascontiguousarray(pictures)).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _fingerprint(root: Path) -> str:
    """A hash of the names and contents of all files that load_faces reads, and of how it decodes them."""
    manifest = root / "manifest.csv"
    files = [manifest, *(root / name for name in sorted({row["archive"] for row in _rows(root)}))] if manifest.exists() else _pictures(root)
    digest = hashlib.sha256(bytes([DECODING]))
    for path in files:
        digest.update(f"{path.relative_to(root)}\0{file_digest(path)}".encode())
    return digest.hexdigest()[:12]


def _rows(root: Path) -> list[dict]:
    """The rows of manifest.csv. Raises ValueError for a missing column, an incomplete row, an unknown split, or a file that is listed twice."""
    manifest = root / "manifest.csv"
    with manifest.open(newline="", encoding="utf-8-sig") as f:  # spreadsheets begin it with a byte order mark
        reader = csv.DictReader(f)
        if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
            raise ValueError(f"{manifest} lacks the column {missing[0]}: its first line must name {', '.join(COLUMNS)}")
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"{manifest}: line {reader.line_num} must have {len(reader.fieldnames)} values, as many as the first line names")
            rows.append({key: value.strip() for key, value in row.items()})
    seen = set()
    for row in rows:
        if row["split"] not in ("train", "test"):
            raise ValueError(f"{manifest}: the split of {row['file']} must be train or test, not {row['split']!r}")
        if (key := (row["archive"], row["file"])) in seen:
            raise ValueError(f"{manifest} lists {row['file']} of {row['archive']} twice")
        seen.add(key)
    return rows


def _hash(identity: str) -> int:
    return int(hashlib.sha256(identity.encode()).hexdigest(), 16)


def held_out(identities: set[str], buckets: int) -> set[str]:
    """The identities in the first of `buckets` hash buckets. Where it is empty, the one with the smallest hash, if there is another to train on."""
    bucket = {identity for identity in identities if _hash(identity) % buckets == 0}
    return bucket or ({min(identities, key=_hash)} if len(identities) > 1 else set())


def identities(root: Path, split: str) -> set[str]:
    """The identities in `split`; without a manifest, each different file has its own. Raises ValueError as load_faces does."""
    if not (root / "manifest.csv").exists():
        return {identity for _, identity in _folder(root, split)}
    return {row["identity"] for row in _listed(root, split)}


def _listed(root: Path, split: str) -> list[dict]:
    """The rows of manifest.csv that are in `split`."""
    rows = _rows(root)
    of = {kind: {row["identity"] for row in rows if row["split"] == kind} for kind in ("train", "test")}
    if both := of["train"] & of["test"]:
        raise ValueError(f"{root / 'manifest.csv'}: identity {min(both)} is in both splits ({len(both)} identities are)")
    listed = [row for row in rows if row["split"] == ("test" if split == "test" else "train")]
    if split != "test":
        validation = held_out(of["train"], VALIDATION_BUCKETS)
        listed = [row for row in listed if (row["identity"] in validation) == (split == "validation")]
    return listed


def _manifest(root: Path, split: str) -> Iterator[tuple[str, io.BytesIO]]:
    """The name of each listed picture of `split` and its file."""
    listed = _listed(root, split)
    wanted = {(row["archive"], row["file"]): i for i, row in enumerate(listed)}
    found = {}
    for archive in sorted({archive for archive, _ in wanted}):
        try:
            with tarfile.open(root / archive) as tar:
                for member in tar:
                    if member.isfile() and (i := wanted.get((archive, Path(member.name).name))) is not None:
                        if i in found:
                            raise ValueError(f"{root / archive} has two files of the name {listed[i]['file']}: pack it with one")
                        found[i] = tar.extractfile(member).read()
        except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, OSError) and error.errno:  # the file cannot be read; gzip and bz2 raise others for damaged data
                raise
            raise ValueError(f"{root / archive} is damaged, or no tar archive: {error}") from error
    if missing := [row for i, row in enumerate(listed) if i not in found]:
        raise FileNotFoundError(f"{root / missing[0]['archive']} lacks {missing[0]['file']} ({len(missing)} of the listed files are missing)")
    for i, row in enumerate(listed):
        yield f"{row['file']} of {root / row['archive']}", io.BytesIO(found[i])


def _pictures(root: Path) -> list[Path]:
    return sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)


def _folder(root: Path, split: str) -> list[tuple[Path, str]]:
    """The pictures of `split`, with their identities."""
    pictures = [(path, file_digest(path)) for path in _pictures(root)]
    identities = {identity for _, identity in pictures}
    test = held_out(identities, TEST_BUCKETS)
    validation = held_out(identities - test, VALIDATION_BUCKETS)
    of = {"test": test, "validation": validation, "train": identities - test - validation}[split]
    return [(path, identity) for path, identity in pictures if identity in of]


def opened(name: str | Path, file: Path | io.BytesIO) -> Image.Image:
    """A picture in RGB as the service decodes it: turned as its EXIF orientation says. Raises ValueError, with `name`, if it is damaged."""
    try:
        with Image.open(file) as image:
            ImageOps.exif_transpose(image, in_place=True)
            if image.mode.startswith("I;16"):  # 16-bit grey, of which convert() would clip all above 255
                return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8)).convert("RGB")
            return image.convert("RGB")
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise ValueError(f"{name} cannot be decoded: {error}") from error


def _decode(sources: Iterator, resolution: int) -> np.ndarray:
    """sources: the name of each picture, and its file."""
    with ThreadPoolExecutor() as pool:
        squares = pool.map(lambda source: _square(opened(*source), resolution), sources)
        faces = [square for square in squares if square is not None]
    return np.stack(faces) if faces else np.empty((0, resolution, resolution, 3), np.uint8)


def _square(rgb: Image.Image, resolution: int) -> np.ndarray | None:
    """The centre of a picture as uint8 [resolution, resolution, 3]. None if it is smaller: enlarged pictures would teach the model to blur."""
    side = min(rgb.size)
    if side < resolution:
        return None
    left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
    square = rgb.crop((left, top, left + side, top + side))
    return np.asarray(square if side == resolution else square.resize((resolution, resolution), Image.LANCZOS))


if __name__ == "__main__":
    import argparse
    import json

    parser = argparse.ArgumentParser(description="Check a data set: print the number of pictures, and their mean and standard deviation.")
    parser.add_argument("--data", default=Path(__file__).parent / "data" / "celeba", help="folder of pictures, with or without manifest.csv")
    parser.add_argument("--resolution", type=int, default=64, help="of the model, in pixels")
    parser.add_argument("--least-test", type=int, default=1, help="exit if there are fewer test pictures (evaluate.py needs 2)", metavar="N")
    args = parser.parse_args()
    print(json.dumps(check(args.data, args.resolution, args.least_test), indent=2))
