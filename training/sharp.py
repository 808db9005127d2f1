"""Measure how a running service fills holes at the picture's own resolution, compared with OpenCV's classical methods.

    python sharp.py faces --url http://127.0.0.1:8000 --count 48            # 128 px faces: sharpness, L1, Frechet distance
    python sharp.py strokes --url http://127.0.0.1:8000 --photos data/photos # thin strokes and boxes in 512 px photographs
    python sharp.py seams --url http://127.0.0.1:8000 --photos data/photos   # gradients across the borders of windows

Sharpness is the root mean square of the Laplacian over the hole less a rim of one pixel, as a share of the originals'. The
pictures of the data set are for measuring only: do not publish the sheets.
"""

import argparse
import base64
import csv
import io
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

import masks
from arguments import positive
from data import loaded, opened
from scores import descriptors, frechet, hole_l1, sharpness

Image.MAX_IMAGE_PIXELS = None
HERE = Path(__file__).parent
CLASSICAL = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}
RADIUS = 3


def png(pixels: np.ndarray) -> str:
    """A picture uint8 [H, W, 3] or [H, W] as PNG in base64."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()


def fill(url: str, picture: np.ndarray, hole: np.ndarray, seed: int, **parameters) -> tuple[list[np.ndarray], dict]:
    """Fill a hole through the service: its pictures uint8 [H, W, 3], and the answer without them.

    picture: uint8 [H, W, 3]; hole: bool [H, W]. Raises urllib.error.HTTPError when the service refuses the request.
    """
    body = {"image": png(picture), "mask": png(hole.astype(np.uint8) * 255), "seed": seed, **parameters}
    headers = {"content-type": "application/json", "accept": "application/json"}
    request = urllib.request.Request(f"{url}/v1/inpaint", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=600) as response:
        answer = json.load(response)
    images = answer.pop("images")
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(image["data"]))).convert("RGB")) for image in images], answer


def fill_all(url: str, pictures: np.ndarray, holes: np.ndarray, clients: int, **parameters) -> np.ndarray:
    """Fill each picture with a seed of its own: uint8 [candidates, N, H, W, 3]. pictures: uint8 [N, H, W, 3]; holes: bool [N, H, W]."""
    with ThreadPoolExecutor(clients) as pool:
        one = lambda i: fill(url, pictures[i], holes[i], 1000 * i, **parameters)[0]  # noqa: E731
        found = list(tqdm(pool.map(one, range(len(pictures))), total=len(pictures), mininterval=10))
    return np.stack(found, 1)


def classical(pictures: np.ndarray, holes: np.ndarray, method: int) -> np.ndarray:
    """The holes filled by one of OpenCV's methods. Shapes: see fill_all."""
    pairs = zip(pictures, holes, strict=True)
    return np.stack([cv2.inpaint(np.ascontiguousarray(p), h.astype(np.uint8) * 255, RADIUS, method) for p, h in pairs])


def test_photographs(photos: Path, side: int, count: int) -> np.ndarray:
    """Square crops uint8 [N, side, side, 3] of the photographs that photos.py kept for testing, from the files themselves.

    Each photograph is halved until its longer edge is at most 3 * side px, so that the crops have content in focus.
    """
    with (photos / "manifest.csv").open(newline="") as f:
        test = {row["identity"] for row in csv.DictReader(f) if row["split"] == "test"}
    with (photos / "sources.csv").open(newline="") as f:
        files = [row["path"] for row in csv.DictReader(f) if row["identity"] in test]
    rng = np.random.default_rng(5)
    levels = []
    for file in files:
        picture = opened(file, file)
        while max(picture.size) > 3 * side and min(picture.size) >= 2 * side:
            picture = picture.resize((picture.width // 2, picture.height // 2), Image.LANCZOS)
        if min(picture.size) >= side:
            levels.append(np.asarray(picture))
    crops = []
    for i in range(count):
        picture = levels[i % len(levels)]
        top, left = rng.integers(0, picture.shape[0] - side + 1), rng.integers(0, picture.shape[1] - side + 1)
        crops.append(picture[top : top + side, left : left + side])
    return np.stack(crops)


def strokes(width: int):
    """Masks of strokes of `width` px at any size."""
    return lambda rng, size: masks.strokes(rng, size, (width * 64 / size,) * 2, (2, 4))


def boxes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Two boxes with sides of 24 to 48 px."""
    mask = np.zeros((size, size), bool)
    for _ in range(2):
        h, w = rng.integers(24, 49, 2)
        y, x = rng.integers(0, size - h + 1), rng.integers(0, size - w + 1)
        mask[y : y + h, x : x + w] = True
    return mask


def face_box(rng: np.random.Generator, size: int) -> np.ndarray:
    """The middle of an aligned face, 48 x 56 px of 128: eyes, nose and mouth."""
    mask = np.zeros((size, size), bool)
    mask[size * 44 // 128 : size * 92 // 128, size * 36 // 128 : size * 92 // 128] = True
    return mask


FAMILIES = {"3 px strokes": strokes(3), "8 px strokes": strokes(8), "24-48 px boxes": boxes}


def sheet(rows: list[np.ndarray], path: Path):
    """Write pictures uint8 [N, H, W, 3] as a PNG, each row beside the others' pictures of the same index."""
    Image.fromarray(np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)).save(path)


def measure(name: str, found: np.ndarray, pictures: np.ndarray, holes: np.ndarray, several: np.ndarray | None = None) -> str:
    """A row of the table: L1 over the hole (of 255), of the mean of candidates where there are several, and sharpness."""
    mean = f"{hole_l1(several.astype(np.float64).mean(0), pictures, holes):.2f}" if several is not None else ""
    return f"| {name} | {hole_l1(found, pictures, holes):.2f} | {mean} | {sharpness(found, pictures, holes):.3f} |"


def holed(pictures: np.ndarray, holes: np.ndarray) -> np.ndarray:
    return np.where(holes[..., None], 128, pictures).astype(np.uint8)


def spread(pictures: np.ndarray, count: int) -> np.ndarray:
    """`count` of the pictures at even distances, or all of them if there are fewer.

    Those at the start of the data set are sharper than the others.
    """
    return np.asarray(pictures[np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int)])


def faces(args: argparse.Namespace):
    """128 px test faces: the service's fill beside the enlarged 64 px fill and Telea's."""
    pictures = spread(loaded(args.data, 128, "test"), args.count)
    reference = descriptors(pictures)
    for name, family in [("centre box", face_box), ("wide strokes", masks.FAMILIES["wide"])]:
        holes = np.stack([family(np.random.default_rng([9, i]), 128) for i in range(len(pictures))])
        several = fill_all(args.url, pictures, holes, args.clients, num_images=args.candidates)
        enlarged = fill_all(args.url, pictures, holes, args.clients, strategy="resize")[0]
        telea = classical(pictures, holes, cv2.INPAINT_TELEA)
        print(f"\n{len(pictures)} faces at 128 px, {name}\n")
        print(f"| | L1 | L1 of the mean of {args.candidates} | sharpness | Frechet distance |\n| --- | --- | --- | --- | --- |")
        rows = [("fill", several[0], several), ("64 px fill enlarged", enlarged, None), ("Telea", telea, None)]
        for label, found, candidates in rows:
            print(measure(label, found, pictures, holes, candidates) + f" {frechet(descriptors(found), reference):.4f} |", flush=True)
        shown = slice(0, 12)
        sheet([holed(pictures, holes)[shown], enlarged[shown], several[0][shown], pictures[shown]], args.out / f"faces-{name.split()[0]}.png")


def holes_of_strokes(args: argparse.Namespace):
    """Strokes and boxes in photographs of 512 px and faces of 128 px, beside both classical methods."""
    sets = {"faces of 128 px": spread(loaded(args.data, 128, "test"), args.count)}
    if args.photos:
        sets["photographs of 512 px"] = test_photographs(args.photos, 512, args.count)
    for title, pictures in sets.items():
        for name, family in FAMILIES.items():
            holes = np.stack([family(np.random.default_rng([11, i]), pictures.shape[1]) for i in range(len(pictures))])
            several = fill_all(args.url, pictures, holes, args.clients, num_images=args.candidates)
            print(f"\n{len(pictures)} {title}, {name}\n\n| | L1 | L1 of the mean of {args.candidates} | sharpness |\n| --- | --- | --- | --- |")
            print(measure("fill", several[0], pictures, holes, several))
            for method, flag in CLASSICAL.items():
                print(measure(method, classical(pictures, holes, flag), pictures, holes), flush=True)
            shown = slice(0, 6)
            file = f"{title.split()[0]}-{name.split()[0]}-{name.split()[-1]}.png"
            sheet([holed(pictures, holes)[shown], several[0][shown], pictures[shown]], args.out / file)


def seams(args: argparse.Namespace):
    """The mean absolute difference of neighbouring pixels across the borders of windows, over that inside them.

    A hole of 200 px in 512 px photographs. Borders are those that the plan's grid of windows implies at its finest level.
    """
    pictures = test_photographs(args.photos, 512, args.count)
    hole = np.zeros((512, 512), bool)
    hole[156:356, 156:356] = True
    ratios = []
    for i, picture in enumerate(pictures):
        found, answer = fill(args.url, picture, hole, 1000 * i)
        level = answer["plan"]["regions"][0]["levels"][-1]
        if level["scale"] != 1:
            raise SystemExit(f"the plan ends at scale {level['scale']}: raise MAX_EVALUATIONS")
        edges = sorted({x for w in level["windows"] for x in (w["left"], w["left"] + w["width"]) if 157 < x < 355})
        across = np.abs(np.diff(found[0][156:356].astype(int), axis=1)).mean((0, 2))  # [511], between columns x and x + 1
        at = across[[x - 1 for x in edges]]
        inside = across[157:354]
        ratios.append(at.mean() / inside.mean())
    print(f"gradient across borders over that inside: {np.mean(ratios):.3f} (mean of {len(ratios)} photographs)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["faces", "strokes", "seams"])
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="address of the service")
    parser.add_argument("--count", type=positive, default=432, help="number of pictures of each kind")
    parser.add_argument("--candidates", type=positive, default=8, help="images whose mean is compared, 1 to 8")
    parser.add_argument("--clients", type=positive, default=2, help="requests at a time")
    parser.add_argument("--data", type=Path, default=HERE / "data" / "celeba", help="the faces")
    parser.add_argument("--photos", type=Path, help="folder made by photos.py")
    parser.add_argument("--out", type=Path, default=HERE.parent / "eval", help="folder for the sheets")
    args = parser.parse_args()
    if args.what == "seams" and not args.photos:
        parser.error("seams are measured in photographs: give --photos, a folder made by photos.py")
    args.out.mkdir(parents=True, exist_ok=True)
    {"faces": faces, "strokes": holes_of_strokes, "seams": seams}[args.what](args)


if __name__ == "__main__":
    main()
