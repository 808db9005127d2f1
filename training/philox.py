"""The service's noise, written a second time: Philox 4x32-10 (Salmon et al. 2011, section 3.3) and the Box-Muller transform.

np.random.Philox is another generator (4x64 bits). src/diffusion/noise.ts gives the same numbers as `gaussian` and
`gaussian_pixel`; tests/vectors/golden.json holds the two to each other.
"""

import numpy as np

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # added to the two words of the key after every round
ROUNDS = 10
LOW = np.uint64(0xFFFFFFFF)


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """uint32 words [N, 4] of counters [N, 4] under one key of two 32-bit words."""
    c0, c1, c2, c3 = counter.astype(np.uint64).T
    for r in range(ROUNDS):
        k0, k1 = (np.uint64((word + r * weyl) & 0xFFFFFFFF) for word, weyl in zip(key, WEYL, strict=True))
        p0, p1 = c0 * np.uint64(MULTIPLIERS[0]), c2 * np.uint64(MULTIPLIERS[1])  # 32 x 32 bits: exact in 64
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ k0, p1 & LOW, (p0 >> np.uint64(32)) ^ c3 ^ k1, p0 & LOW
    return np.stack([c0, c1, c2, c3], 1).astype(np.uint32)


def gaussian(seed: int, candidate: int, step: int, length: int) -> np.ndarray:
    """float32 [length], standard normal: what the service draws for that candidate of the seed.

    step: 0 for x_T, i + 1 for what step i adds. The counter is (block of four numbers, step, candidate, 0), the key (seed, 0).
    """
    blocks = np.arange(-(-length // 4))
    counter = np.stack([blocks, *(np.full_like(blocks, word) for word in (step, candidate, 0))], 1)
    return normals(philox(counter, (seed, 0))).reshape(-1)[:length]


def gaussian_pixel(seed: int, candidate: int, step: int, x: int, y: int, level: int) -> np.ndarray:
    """float32 [3], standard normal: what the service draws for a pixel of a level of an image pyramid.

    x, y: 0..65,535. The counter is (x + 2^16 y, step, candidate, level + 1), the key (seed, 0).
    """
    return normals(philox(np.array([[x + 2**16 * y, step, candidate, level + 1]]), (seed, 0)))[0, :3]


def normals(words: np.ndarray) -> np.ndarray:
    """float32 [N, 4], standard normal, of random words [N, 4] (Box & Muller 1958)."""
    words = words.astype(np.float64)
    radius = np.sqrt(-2 * np.log((words[:, 0::2] + 0.5) / 2**32))
    angle = 2 * np.pi * words[:, 1::2] / 2**32
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 2).reshape(-1, 4).astype(np.float32)
