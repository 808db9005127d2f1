import os

import pytest

import files


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    file = tmp_path / "card.json"
    files.write_json(file, {"a": 1})
    with pytest.raises(OSError, match="full"), files.replacing(file) as part:
        part.write_text('{"a"')
        raise OSError("disk full")
    assert files.kept(file) == {"a": 1} and list(tmp_path.iterdir()) == [file]


def test_what_killed_processes_left_is_removed_after_a_day(tmp_path):
    left, recent, other = (tmp_path / name for name in (".card.json.1.part", ".card.json.2.part", ".card.json"))
    folder = tmp_path / ".3.1.part"
    folder.mkdir()
    for file in (folder / "unet.onnx", left, recent, other):
        file.write_text("")
    for path in (folder, left, other):
        os.utime(path, (0, 0))
    files.write_json(tmp_path / "card.json", {})
    assert set(tmp_path.iterdir()) == {recent, other, tmp_path / "card.json"}


def test_results_that_cannot_be_read_are_measured_again(tmp_path):
    file = tmp_path / "kept.json"
    for text in ('{"box": {"l1"', "[]", ""):
        file.write_text(text)
        assert files.kept(file) == {}
    assert files.kept(tmp_path / "none.json") == {}
