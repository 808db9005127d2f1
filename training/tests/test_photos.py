import csv
import re
import sys
import tarfile

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


def test_photographs_keep_their_split_and_crops_when_others_are_added_or_the_sources_change_their_order(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for i in range(32):
        (tmp_path / str(i % 2)).mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).resize((128, 128)).save(tmp_path / str(i % 2) / f"{i}.bmp")
    late = [tmp_path / "0" / f"{i}.bmp" for i in (0, 8, 16, 24)]
    for path in late:
        path.rename(tmp_path / path.name)

    def made(*sources: int) -> dict[str, tuple[str, list[bytes]]]:
        """The split of each photograph, by its path, and the pixels of its crops."""
        make(monkeypatch, tmp_path / "out", *(f"{tmp_path}/{source}=CC0" for source in sources))
        tables = [list(csv.DictReader((tmp_path / "out" / name).open())) for name in ("sources.csv", "manifest.csv")]
        with tarfile.open(tmp_path / "out" / "crops.tar") as tar:
            crops = {member.name: tar.extractfile(member).read() for member in tar}
        rows = {photo["path"]: [row for row in tables[1] if row["identity"] == photo["identity"]] for photo in tables[0]}
        return {path: (of[0]["split"], [crops[row["file"]] for row in of]) for path, of in rows.items()}

    before = made(0, 1)
    assert len(before) == 28 and {split for split, _ in before.values()} == {"train", "test"}
    for path in late:
        (tmp_path / path.name).rename(path)
    after = made(1, 0)
    assert len(after) == 32 and {path: after[path] for path in before} == before
