import pytest

import files


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    file = tmp_path / "card.json"
    files.write_json(file, {"a": 1})
    with pytest.raises(OSError, match="full"), files.replacing(file) as part:
        part.write_text('{"a"')
        raise OSError("disk full")
    assert files.kept(file) == {"a": 1} and list(tmp_path.iterdir()) == [file]


def test_results_that_cannot_be_read_are_measured_again(tmp_path):
    file = tmp_path / "kept.json"
    for text in ('{"box": {"l1"', "[]", ""):
        file.write_text(text)
        assert files.kept(file) == {}
    assert files.kept(tmp_path / "none.json") == {}
