"""Random masks for training and testing. Each function returns bool [size, size], True in the hole."""

import numpy as np
from PIL import Image, ImageDraw

Rng = np.random.Generator


def whole(rng: Rng, size: int) -> np.ndarray:
    """The whole picture is the hole, so inpainting becomes unconditional sampling."""
    return np.ones((size, size), bool)


def half(rng: Rng, size: int) -> np.ndarray:
    """The left, right, top or bottom half."""
    mask = np.zeros((size, size), bool)
    mask[:, : size // 2] = True
    return np.rot90(mask, rng.integers(4)).copy()


def boxes(rng: Rng, size: int) -> np.ndarray:
    """One or two boxes with sides of 1/8 to 5/8 of the picture."""
    mask = np.zeros((size, size), bool)
    for _ in range(rng.integers(1, 3)):
        h, w = rng.integers(size // 8, size * 5 // 8 + 1, 2)
        y, x = rng.integers(0, size - h + 1), rng.integers(0, size - w + 1)
        mask[y : y + h, x : x + w] = True
    return mask


def centre_box(rng: Rng, size: int) -> np.ndarray:
    """A box in the centre with half the side of the picture: 32 x 32 of 64 x 64. It covers most of an aligned face."""
    mask = np.zeros((size, size), bool)
    mask[size // 4 : size * 3 // 4, size // 4 : size * 3 // 4] = True
    return mask


def strokes(rng: Rng, size: int, widths: tuple[float, float] = (3, 12), count: tuple[int, int] = (1, 5)) -> np.ndarray:
    """Brush strokes: polylines with round joints. Widths are in pixels at size 64, and scale with the size. Never empty."""
    canvas = Image.new("L", (size, size))
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(count[0], count[1] + 1)):
        width = max(1, round(rng.uniform(*widths) * size / 64))
        point = rng.uniform(0, size, 2)
        angle = rng.uniform(0, 2 * np.pi)
        for _ in range(rng.integers(2, 7)):
            angle += rng.normal(0, 0.8)
            after = np.clip(point + rng.uniform(0.08, 0.3) * size * np.array([np.cos(angle), np.sin(angle)]), 0, size - 1)
            draw.line([*point, *after], fill=255, width=width)
            for x, y in (point, after):
                draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=255)
            point = after
    mask = np.asarray(canvas) > 0
    return mask if mask.any() else strokes(rng, size, widths, count)


def training_mask(rng: Rng, size: int) -> np.ndarray:
    """A random mask similar to those that users paint: 10 % whole picture, 30 % boxes, 10 % half, 50 % strokes of 3 to 12 px."""
    u = rng.random()
    kind = whole if u < 0.1 else boxes if u < 0.4 else half if u < 0.5 else strokes
    return kind(rng, size)


FAMILIES = {
    "thin": lambda rng, size: strokes(rng, size, (2, 4), (3, 6)),
    "wide": lambda rng, size: strokes(rng, size, (8, 13), (2, 4)),
    "box": centre_box,
    "half": half,
}
"""The mask families of the evaluation: functions (rng, size) -> bool [size, size]."""
