"""The refiner's sampling: the unsharp mask of the coarse fill, and where x starts."""

import numpy as np
import pytest
import torch

import diffusion
import refining
from export_refiner import start
from refiner import enlarge_coarse, sharpened, sharpening

CARD = {"prediction": "v", "schedule": {"type": "cosine", "T": 1000}, "level": 0.0, "sampling": {"spacing": "log_snr", "final_timestep": 8}}


def test_an_unsharp_mask_adds_a_share_of_the_difference_from_the_mean_and_repeats_the_edge():
    x = torch.tensor([0, 0.9, 0]).expand(1, 3, 1, 3)  # rows repeat: the means are 0.3
    assert torch.allclose(sharpened(x, 0.1)[0, 0, 0], torch.tensor([-0.03, 0.96, -0.03]))
    assert torch.equal(sharpened(x, 0), x)
    assert sharpened(x, 2).max() == 1


def halves(known: float, fill: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A checkerboard whose Laplacian is 8 `known` in the left half and 8 `fill` in the right half, and that half as the hole."""
    x, y = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="xy")
    mask = (x >= 8).float()
    return ((x + y) % 2 * 2 - 1) * torch.where(mask == 1, fill, known).expand(1, 3, 16, 16), mask.view(1, 1, 16, 16)


@pytest.mark.parametrize(
    "known,fill,amount", [(0.5, 0.5, 0.3), (0.8, 0.5, 0.3 + np.log(1.6)), (0.5, 0.6, 0.3 - np.log(1.2)), (0.9, 0.1, 1.2), (0.1, 0.9, 0)]
)
def test_the_amount_grows_with_the_log_of_how_much_softer_the_fill_is_than_the_known_pixels(known, fill, amount):
    """The same cases as in tests/generation/sharpen.test.ts."""
    x, mask = halves(known, fill)
    assert sharpening(x, mask, 0.3).shape == (1, 1, 1, 1)
    assert float(sharpening(x, mask, 0.3)) == pytest.approx(amount, abs=1e-4)
    equal, softer = halves(0.5, 0.5), halves(0.8, 0.5)
    both = sharpening(*(torch.cat(pair) for pair in zip(equal, softer, strict=True)), 0.3)
    assert both.flatten().tolist() == pytest.approx([0.3, 0.3 + np.log(1.6)], abs=1e-4)


def test_without_16_pixels_of_either_kind_the_amount_does_not_depend_on_the_pixels():
    x, _ = halves(0.8, 0.1)
    thin = torch.zeros(1, 1, 16, 16)
    thin[..., 9] = 1
    assert float(sharpening(x, thin, 0.3)) == pytest.approx(0.3)
    assert float(sharpening(x, torch.ones(1, 1, 16, 16), 0.3)) == pytest.approx(0.3)
    assert float(sharpening(x, torch.ones(1, 1, 16, 16), 2)) == pytest.approx(1.2)
    for width, amount in [(5, 0.3), (6, 1.2)]:  # 15 and 20 pixels in the interior
        box = torch.zeros(1, 1, 16, 16)
        box[..., 2:9, 9 : 9 + width] = 1
        assert float(sharpening(x, box, 0.3)) == pytest.approx(amount)


def test_in_flat_pictures_the_floor_decides():
    x, mask = halves(0.0005, 0.0001)
    assert float(sharpening(x, mask, 0.3)) == pytest.approx(0.3 + np.log((4.8e-5 + 3.1e-4) / (1.92e-6 + 3.1e-4)) / 2, abs=1e-5)


@pytest.mark.parametrize("first", [999, 900, 300])
def test_x_starts_as_the_enlarged_fill_with_the_noise_of_the_first_timestep(first):
    rng = np.random.default_rng(1)
    pictures, coarse = (rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8) for side in (32, 16))
    holes = np.zeros((2, 32, 32), bool)
    holes[:, 9:24] = True  # covers half of a coarse row too
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
    shrunk = torch.tensor(coarse).permute(0, 3, 1, 2).float() / 127.5 - 1
    coarse_holes = torch.from_numpy(holes.reshape(2, 16, 2, 16, 2).any((2, 4)))[:, None].float()
    amount = sharpening(shrunk, coarse_holes, 0.5)
    assert len(amount.unique()) == 2
    fill = enlarge_coarse(sharpened(shrunk, amount))
    assert torch.allclose(seen[:, 3:6][inside], fill[inside])
    a, b = (schedule.abar[first] ** 0.5, (1 - schedule.abar[first]) ** 0.5) if first < 999 else (0, 1)
    noise = ((seen[:, :3] - a * fill) / b)[inside]
    assert abs(noise.mean()) < 0.15 and abs(noise.std() - 1) < 0.1
    assert abs((noise * fill[inside]).mean()) < 0.1


def test_a_card_tells_what_sampling_starts_from():
    assert start(CARD) == "from pure noise"
    told = start({**CARD, "sharpen": 0.3, "sampling": {**CARD["sampling"], "first_timestep": 900}})
    assert told.startswith("from the enlarged fill with the noise of t = 900. The fill is sharpened first, by 0.3 times")
