import re
import sys

import numpy as np
import pytest
from PIL import Image

import photos


@pytest.fixture
def wallpapers(tmp_path):
    folder = tmp_path / "wallpapers"
    folder.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / "a.png")
    return folder


def make(monkeypatch, out, *sources: str):
    """Run photos.py with crops of 32 px."""
    monkeypatch.setattr(sys, "argv", ["photos.py", str(out), *sources, "--side", "32"])
    photos.main()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{}/wallpapers", "has no licence: write FOLDER=LICENCE"),
        ("{}/walpapers=CC0", "there is no folder .*walpapers"),
        ("{}/empty=CC0", "there are no photographs in .*empty"),
        ("{}/small=CC0", "none of the 1 photographs is large enough: .* 64 px"),
    ],
)
def test_a_data_set_is_not_replaced_before_the_new_one_is_complete(tmp_path, wallpapers, monkeypatch, capsys, source, message):
    out = tmp_path / "photos"
    make(monkeypatch, out, f"{wallpapers}=CC0")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert before.keys() == {"crops.tar", "manifest.csv", "sources.csv"}
    for name in ("empty", "small"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (63, 63)).save(tmp_path / "small" / "a.png")
    with pytest.raises(SystemExit) as error:
        make(monkeypatch, out, source.format(tmp_path))
    assert re.search(message, f"{error.value} {capsys.readouterr().err}")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
