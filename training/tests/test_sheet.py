"""What a training writes at a report, with the smallest schedules and batches."""

import tomllib

import numpy as np
import pytest
import torch
from PIL import Image
from test_training import CONFIG, HERE

import config
import train
from batches import Sources

FACES = np.zeros((2, 48, 48, 3), np.uint8)


def training(folder, stage: str, **sections) -> train.Training:
    """A training of a tiny network. sections: changes to those of the config."""
    text = CONFIG.format(steps=1) if stage == "base" else (HERE / "configs" / "refiner-64.toml").read_text()
    settings = tomllib.loads(text)
    for name, changes in sections.items():
        settings[name] |= changes
    config.check(settings)
    return train.Training(settings, folder, "cpu", "fp32", compiled=False)


def test_a_schedule_may_have_fewer_timesteps_than_a_sheet_has_steps(tmp_path):
    training(tmp_path, "base", schedule={"T": 12}, mix={"photos": 0}).report(Sources(FACES[:, :16, :16]))
    assert Image.open(tmp_path / "samples.png").size == (5 * 2 * 16, 2 * 16)


def test_the_sheet_of_a_refiner_shows_every_window_of_the_batch(tmp_path):
    of = training(tmp_path, "refiner", model={"resolution": 16, "channels": [8, 8, 8]}, train={"batch": 6}, mix={"photos": 0})
    of.stage.validate = lambda *_: {}
    of.report(Sources(FACES))
    sheet = np.asarray(Image.open(tmp_path / "samples.png"))
    assert sheet.shape == (2 * 16, 4 * 3 * 16, 3)
    assert sheet[16:, 2 * 3 * 16 :].max() == 0


def test_a_report_that_fails_leaves_a_checkpoint(tmp_path):
    of = training(tmp_path, "base", mix={"photos": 0})
    before = {name: value.clone() for name, value in of.model.state_dict().items()}

    def failing(*_):
        raise RuntimeError

    of.stage.sheet, of.ema.shadow = failing, {name: value + 1 for name, value in before.items()}
    with pytest.raises(RuntimeError):
        of.report(Sources(FACES[:, :16, :16]))
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert all(torch.equal(value, before[name]) for name, value in state["model"].items())
