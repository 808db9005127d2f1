"""How good fills are: their error, their sharpness, and the distance between sets of faces."""

import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
SUBSETS = 8  # of each size, in frechet_extrapolated


def hole_l1(found: np.ndarray, faces: np.ndarray, holes: np.ndarray) -> float:
    """Mean absolute difference over the hole, 0..255, averaged over faces. found, faces: [N, R, R, 3] in 0..255; holes: bool [N, R, R]."""
    error = np.abs(found.astype(np.float64) - faces).mean(-1)
    return float(((error * holes).sum((1, 2)) / holes.sum((1, 2))).mean())


def hole_psnr(found: np.ndarray, faces: np.ndarray, holes: np.ndarray) -> float:
    """PSNR in dB, 10 log10(255^2 / MSE), with the mean squared error over each face's hole; averaged over faces. Shapes: see hole_l1."""
    error = ((found.astype(np.float64) - faces) ** 2).mean(-1)
    mse = (error * holes).sum((1, 2)) / holes.sum((1, 2))
    return float((10 * np.log10(255**2 / np.maximum(mse, 1e-3))).mean())


def sharpness(found: np.ndarray, faces: np.ndarray, holes: np.ndarray) -> float | None:
    """Root mean square of the Laplacian over the holes without their rim of one pixel, as a share of the originals'.

    Without the rim, the Laplacian depends on no known pixel. Below 1 the fills are blurred, above 1 they are noisy. None if
    no hole is wider than its rim, or if the originals are flat. Shapes: see hole_l1.
    """

    def energy(pictures: np.ndarray) -> float:
        return sum(
            float((cv2.Laplacian(picture.astype(np.float64), cv2.CV_64F)[inside] ** 2).sum())
            for picture, inside in zip(pictures, insides, strict=True)
        )

    insides = [
        cv2.erode(hole.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool) for hole in holes
    ]
    original = energy(faces)
    return (energy(found) / original) ** 0.5 if original > 0 else None


def score(found: np.ndarray, faces: np.ndarray, holes: np.ndarray) -> dict:
    """{"l1", "psnr"} over the hole, rounded. Shapes: see hole_l1."""
    return {"l1": round(hole_l1(found, faces, holes), 2), "psnr": round(hole_psnr(found, faces, holes), 2)}


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance between Gaussians fitted to two sets a, b [N, D]: |mu_a - mu_b|^2 + tr(A + B - 2 (A B)^1/2) (Dowson & Landau 1982)."""
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(cov_a)
    root_a = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root_a @ cov_b @ root_a).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def frechet_extrapolated(a: np.ndarray, b: np.ndarray) -> float | None:
    """The Frechet distance that sets of infinitely many rows would have, estimated (Chong & Forsyth 2020, FID infinity).

    The distance between samples of N rows is too large by about c / N, and not by the same c for every method. A line in 1 / N is
    fitted to the mean distances of random subsets, of a third of the rows up to all of them, and read at 0. Row i of a and row i
    of b belong together: subsets have the same rows of both. a, b: [N, D]. None for fewer than 3 D rows.
    """
    n, d = a.shape
    if n < 3 * d:
        return None
    rng = np.random.default_rng(0)
    sizes = np.linspace(n / 3, n, 5).round().astype(int)
    subsets = [[rng.permutation(n)[:size] for _ in range(SUBSETS)] for size in sizes[:-1]]
    means = [np.mean([frechet(a[i], b[i]) for i in each]) for each in subsets] + [frechet(a, b)]
    return float(np.polyfit(1 / sizes, means, 1)[1])


def descriptors(faces: np.ndarray) -> np.ndarray:
    """Face descriptors, float64 [N, 128], computed by descriptors.mjs. faces: uint8 [N, R, R, 3]. Exits if Node.js or its packages are missing."""
    with tempfile.TemporaryDirectory() as folder:
        rgb, out = Path(folder, "rgb"), Path(folder, "descriptors")
        faces.tofile(rgb)
        command = ["node", HERE / "descriptors.mjs", rgb, out, str(faces.shape[1])]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            reason = next((line for line in lines if "Error" in line), lines[-1])  # Node.js adds lines of its own after it
            raise SystemExit(f"descriptors.mjs failed: {reason}. It needs Node.js, and `npm ci` in the repository") from error
        return np.fromfile(out, np.float32).reshape(len(faces), 128).astype(np.float64)
