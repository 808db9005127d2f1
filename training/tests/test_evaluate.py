import numpy as np
import pytest

import evaluate


def test_frechet_distance_of_gaussians_matches_the_closed_form():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (200_000, 3)), rng.normal(2, 3, (200_000, 3))
    assert evaluate.frechet(a, b) == pytest.approx(3 * (2**2 + (3 - 1) ** 2), rel=0.02)
    assert evaluate.frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_l1_and_psnr_cover_only_the_hole():
    faces = np.full((2, 4, 4, 3), 100, np.uint8)
    holes = np.zeros((2, 4, 4), bool)
    holes[:, 0] = True
    found = faces.copy()
    found[:, 0] += 10
    found[:, 1] = 0  # not in the hole
    assert evaluate.hole_l1(found, faces, holes) == 10
    assert evaluate.hole_psnr(found, faces, holes) == pytest.approx(10 * np.log10(255**2 / 100))


def test_telea_continues_a_picture_of_one_colour():
    face = np.full((16, 16, 3), 77, np.uint8)
    hole = np.zeros((16, 16), bool)
    hole[4:9, 4:9] = True
    assert np.abs(evaluate.telea(face, hole).astype(int) - 77).max() <= 3  # rounding errors accumulate towards the centre
