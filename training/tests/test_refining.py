"""The refiner's sampling: the unsharp mask of the coarse fill, and where x starts."""

import numpy as np
import pytest
import torch

import diffusion
import refining
from export_refiner import start
from refiner import enlarge_coarse, sharpened

CARD = {"prediction": "v", "schedule": {"type": "cosine", "T": 1000}, "level": 0.0, "sampling": {"spacing": "log_snr", "final_timestep": 8}}


def test_an_unsharp_mask_adds_a_share_of_the_difference_from_the_mean_and_repeats_the_edge():
    x = torch.tensor([0, 0.9, 0]).expand(1, 3, 1, 3)  # rows repeat: the means are 0.3
    assert torch.allclose(sharpened(x, 0.1)[0, 0, 0], torch.tensor([-0.03, 0.96, -0.03]))
    assert torch.equal(sharpened(x, 0), x)
    assert sharpened(x, 2).max() == 1


@pytest.mark.parametrize("first", [999, 900, 300])
def test_x_starts_as_the_enlarged_fill_with_the_noise_of_the_first_timestep(first):
    rng = np.random.default_rng(1)
    pictures, coarse = (rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8) for side in (16, 8))
    holes = np.zeros((2, 16, 16), bool)
    holes[:, 4:12] = True
    inputs = []

    def model(x, t):  # estimates x_0 = 0.5
        inputs.append((x, int(t[0])))
        a, b = diffusion.coefficients(schedule, t)
        return (a * x[:, :3] - 0.5) / b

    schedule = diffusion.schedule_of(CARD)
    found = refining.refine(model, CARD, pictures, holes, coarse, first, 0.5, 3)
    assert np.array_equal(found[~holes], pictures[~holes]) and (abs(found[holes].astype(float) - 191.25) <= 1).all()
    seen, t = inputs[0]
    assert t == first and len(inputs) == 3 and inputs[-1][1] == 8
    inside = torch.from_numpy(holes)[:, None].expand(-1, 3, -1, -1)
    fill = enlarge_coarse(sharpened(torch.tensor(coarse).permute(0, 3, 1, 2).float() / 127.5 - 1, 0.5))
    assert torch.allclose(seen[:, 3:6][inside], fill[inside])
    a, b = (schedule.abar[first] ** 0.5, (1 - schedule.abar[first]) ** 0.5) if first < 999 else (0, 1)
    noise = ((seen[:, :3] - a * fill) / b)[inside]
    assert abs(noise.mean()) < 0.15 and abs(noise.std() - 1) < 0.1
    assert abs((noise * fill[inside]).mean()) < 0.1


def test_a_card_tells_what_sampling_starts_from():
    assert start(CARD) == "from pure noise"
    told = start({**CARD, "sharpen": 0.3, "sampling": {**CARD["sampling"], "first_timestep": 900}})
    assert told.startswith("from the enlarged fill with the noise of t = 900. The fill is sharpened first, by 0.3 times")
