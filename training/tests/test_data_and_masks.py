import bz2
import csv
import errno
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

import data
import masks


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")


def picture(value: int, size=(40, 60)) -> Image.Image:
    return Image.new("RGB", size, (value, 10, 20))


def test_a_folder_of_pictures_is_cropped_to_squares_and_split(tmp_path, monkeypatch):
    for i in range(3):
        picture(i).save(tmp_path / f"{i}.png")
    picture(0).save(tmp_path / "copy.png")
    train, validation, test = (data.load_faces(tmp_path, 32, split) for split in ("train", "validation", "test"))
    assert train.shape[1:] == validation.shape[1:] == test.shape[1:] == (32, 32, 3)
    found = [set(faces[:, 0, 0, 0].tolist()) for faces in (train, validation, test)]
    assert [len(values) for values in found] == [1, 1, 1] and set.union(*found) == {0, 1, 2}  # a copy is in the split of its original
    assert np.array_equal(data.load_faces(tmp_path, 32, "train"), train)  # from the cache
    monkeypatch.setattr(data, "held_out", lambda *_: set())
    picture(9, (8, 8)).save(tmp_path / "small.png")
    assert len(data.load_faces(tmp_path, 32, "train")) == 4


def test_a_picture_of_a_folder_keeps_its_split_when_others_are_added_or_it_is_moved(tmp_path):
    for i in range(150):
        picture(i).save(tmp_path / f"{i:03}.bmp")  # whose bytes do not depend on a library's version
    before = {split: set(data.load_faces(tmp_path, 32, split)[:, 0, 0, 0].tolist()) for split in data.SPLITS}
    assert all(before.values()) and sum(map(len, before.values())) == 150
    picture(200).save(tmp_path / "000-added.bmp")
    (tmp_path / "moved").mkdir()
    (tmp_path / "100.bmp").rename(tmp_path / "moved" / "new.bmp")
    after = {split: set(data.load_faces(tmp_path, 32, split)[:, 0, 0, 0].tolist()) - {200} for split in data.SPLITS}
    assert after == before


def write_manifest(root, rows, leave_out=()):
    """Write a manifest with rows (file, archive, identity, split), and its archives. The pixels of picture i are 100 + i."""
    with (root / "manifest.csv").open("w", newline="") as f:
        csv.writer(f).writerows([("file", "archive", "identity", "split"), *rows])
    for archive in {row[1] for row in rows}:
        with tarfile.open(root / archive, "w") as tar:
            for i, (name, where, *_) in enumerate(rows):
                if where == archive and name not in leave_out:
                    buffer = io.BytesIO()
                    picture(100 + i).save(buffer, "png")
                    member = tarfile.TarInfo(name)
                    member.size = buffer.tell()
                    tar.addfile(member, io.BytesIO(buffer.getvalue()))


ROWS = [("b.png", "one.tar", 5, "train"), ("a.png", "two.tar", 5, "train"), ("c.png", "one.tar", 6, "test")]


def test_a_manifest_with_archives_keeps_its_order_and_splits(tmp_path):
    write_manifest(tmp_path, ROWS)
    assert data.load_faces(tmp_path, 16, "train")[:, 0, 0, 0].tolist() == [100, 101]
    assert data.load_faces(tmp_path, 16, "test")[:, 0, 0, 0].tolist() == [102]


def test_an_identity_in_both_splits_is_an_error(tmp_path):
    write_manifest(tmp_path, [*ROWS, ("d.png", "one.tar", 5, "test")])
    for split in data.SPLITS:
        with pytest.raises(ValueError, match="identity 5 is in both splits"):
            data.load_faces(tmp_path, 16, split)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("d.png", "one.tar", " 5", "test"), "identity 5 is in both splits"),
        (("d.png", "one.tar", 7, "Test"), "must be train or test, not 'Test'"),
        (("a.png", "two.tar", 5, "train"), "lists a.png of two.tar twice"),
    ],
)
def test_a_manifest_that_could_be_misread_is_an_error(tmp_path, row, message):
    write_manifest(tmp_path, [*ROWS, row])
    with pytest.raises(ValueError, match=message):
        data.load_faces(tmp_path, 16, "train")


def test_a_listed_file_that_is_missing_from_its_archive_is_an_error(tmp_path):
    write_manifest(tmp_path, ROWS, leave_out=("a.png",))
    with pytest.raises(FileNotFoundError, match=r"two\.tar lacks a\.png"):
        data.load_faces(tmp_path, 16, "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,identity,split\na.png,1,train\n", "lacks the column archive"),
        ("", "lacks the column file"),
        ("file,archive,identity,split\na.png,one.tar,1\n", "line 2 must have 4 values"),
        ("file,archive,identity,split\na.png,one.tar,1,train,9\n", "line 2 must have 4 values"),
    ],
)
def test_a_manifest_with_missing_columns_or_values_is_an_error(tmp_path, text, message):
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        data.load_faces(tmp_path, 16, "train")


def test_a_manifest_may_begin_with_a_byte_order_mark(tmp_path):
    write_manifest(tmp_path, ROWS)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(manifest.read_text(), encoding="utf-8-sig")
    assert len(data.load_faces(tmp_path, 16, "train")) == 2


def test_a_damaged_archive_is_named(tmp_path):
    write_manifest(tmp_path, ROWS)
    archive = tmp_path / "one.tar"
    whole = archive.read_bytes()
    with tarfile.open(archive, "w") as tar:
        large = tarfile.TarInfo("b.png")
        large.size = 2_000_000
        tar.addfile(large, io.BytesIO(np.random.default_rng(0).bytes(large.size)))
    for damaged in (whole[:600], b"no archive", gzip.compress(whole)[:100], *overwritten(archive.read_bytes())):
        archive.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"one\.tar is damaged, or no tar archive"):
            data.load_faces(tmp_path, 16, "train")


def test_an_archive_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def unreadable(_path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    write_manifest(tmp_path, ROWS)
    monkeypatch.setattr(data.tarfile, "open", unreadable)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        data.load_faces(tmp_path, 16, "train")


def overwritten(tar: bytes) -> Iterator[bytes]:
    """The archive in each compression, with other bytes in the middle."""
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        file = bytearray(compress(tar))
        middle = len(file) // 2
        file[middle : middle + 40_000] = b"\xff" * 40_000
        yield bytes(file)


def test_two_files_of_an_archive_with_the_name_of_a_listed_one_are_an_error(tmp_path):
    write_manifest(tmp_path, ROWS)
    with tarfile.open(tmp_path / "one.tar", "a") as tar:
        tar.addfile(tarfile.TarInfo("other/b.png"))
    with pytest.raises(ValueError, match=r"one\.tar has two files of the name b\.png"):
        data.load_faces(tmp_path, 16, "train")


def test_two_processes_that_fill_the_cache_at_once_do_not_share_a_file(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    for i in range(2):
        picture(7).save(tmp_path / "pictures" / f"{i}.png")
    save, nested = np.save, []

    def saved(file, faces):
        if not nested:  # the other process begins and ends while this one writes
            nested.append(True)
            file.write(b"half")
            file.flush()
            data.load_faces(tmp_path / "pictures", 16, "train")
            file.seek(0)
        save(file, faces)

    monkeypatch.setattr(data.np, "save", saved)
    assert (data.load_faces(tmp_path / "pictures", 16, "train")[0, 0, 0] == [7, 10, 20]).all()
    assert [path.suffix for path in data.CACHE.iterdir()] == [".npy"]


def test_pictures_are_decoded_as_the_service_does(tmp_path, monkeypatch):
    turned = Image.fromarray(np.repeat(np.uint8([[200] * 60] * 20 + [[10] * 60] * 20)[..., None], 3, 2))  # bright above
    exif = Image.Exif()
    exif[0x0112] = 3  # to be turned by 180 degrees
    monkeypatch.setattr(data, "held_out", lambda *_: set())
    turned.save(tmp_path / "a.png")
    turned.save(tmp_path / "b.png", exif=exif)
    Image.fromarray(np.full((40, 60), 100 * 257, np.uint16)).save(tmp_path / "c.png")
    a, b, c = data.load_faces(tmp_path, 40, "train")
    assert a[[0, -1], 0, 0].tolist() == [200, 10] and b[[0, -1], 0, 0].tolist() == [10, 200] and (c == 100).all()


@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_a_damaged_picture_is_named(tmp_path, monkeypatch, kind):
    if kind == "archive":
        monkeypatch.setattr(Image.Image, "save", lambda self, file, *_: file.write(b"no picture"))
        write_manifest(tmp_path, ROWS[:1])
    else:
        picture(1).save(tmp_path / "b.png")
        (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"b\.png.* cannot be decoded"):
        data.load_faces(tmp_path, 16, "train")


TRAINED = [1, 2, 2, 3]
HELD_OUT = sorted(data.held_out({str(identity) for identity in range(1000)}, data.VALIDATION_BUCKETS), key=int)[:2]
HELD_OUT = [HELD_OUT[0], HELD_OUT[0], HELD_OUT[1]]


def test_a_folder_with_too_few_test_pictures_is_refused(tmp_path):
    for value in (0, 80, 160):
        picture(value).save(tmp_path / f"{value}.png")
    assert data.check(tmp_path, 32)["test"]["pictures"] == 1
    with pytest.raises(SystemExit, match=f"at least 2 test pictures of 32 px are needed; {tmp_path} has 1: add pictures"):
        data.check(tmp_path, 32, least_test=2)


def test_validation_consists_of_whole_training_identities(tmp_path):
    write_manifest(tmp_path, [(f"{i}.png", "one.tar", identity, "train") for i, identity in enumerate(HELD_OUT + TRAINED)])
    train, validation = (data.load_faces(tmp_path, 16, s)[:, 0, 0, 0].tolist() for s in ("train", "validation"))
    assert validation == [100, 101, 102] and train == [103, 104, 105, 106]


def test_a_few_identities_have_one_of_them_for_validation(tmp_path):
    write_manifest(tmp_path, [(f"{i}.png", "one.tar", identity, "train") for i, identity in enumerate(TRAINED)])
    split = {s: data.identities(tmp_path, s) for s in ("train", "validation")}
    assert len(split["validation"]) == 1 and split["train"] | split["validation"] == {"1", "2", "3"}
    assert data.held_out({"1"}, data.VALIDATION_BUCKETS) == set()  # which is trained on


def test_means_and_standard_deviations_do_not_depend_on_the_number_of_pictures(tmp_path, monkeypatch):
    pictures = np.broadcast_to(np.array([[30], [60], [90]], np.uint8)[..., None, None], (3, 64, 64, 3))
    many = np.concatenate([pictures] * 2000)  # more values than sums of float32 can hold
    monkeypatch.setattr(data, "load_faces", lambda *_: many)
    values = np.array([30, 60, 90]) / 127.5 - 1
    expected = {"pictures": 6000, "mean": [pytest.approx(values.mean(), abs=1e-4)] * 3, "std": [pytest.approx(values.std(), abs=1e-4)] * 3}
    assert data.check(tmp_path, 64)["train"] == expected


@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_the_cache_is_not_used_when_the_content_has_changed(tmp_path, monkeypatch, kind):
    if kind == "archive":
        write_manifest(tmp_path, ROWS)
    else:
        monkeypatch.setattr(data, "held_out", lambda *_: set())
        for i in range(3):
            picture(1).save(tmp_path / f"{i}.png")
    before = data.load_faces(tmp_path, 16, "train")[0, 0, 0, 0]
    if kind == "archive":
        write_manifest(tmp_path, [("new.png", "one.tar", 9, "test"), *ROWS])  # the same names with other pictures
        (tmp_path / "manifest.csv").write_text("file,archive,identity,split\n" + "".join(",".join(map(str, r)) + "\n" for r in ROWS))
    else:
        picture(2).save(tmp_path / "0.png")
    assert data.load_faces(tmp_path, 16, "train")[0, 0, 0, 0] != before


def test_missing_folders_and_pictures_and_unknown_splits_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="no data folder"):
        data.load_faces(tmp_path / "nowhere", 32, "train")
    with pytest.raises(FileNotFoundError, match="no train pictures"):
        data.load_faces(tmp_path, 32, "train")
    picture(1).save(tmp_path / "1.png")
    with pytest.raises(FileNotFoundError, match="no validation pictures .*of three pictures or more, .* one for validation"):
        data.load_faces(tmp_path, 32, "validation")
    with pytest.raises(ValueError, match="split"):
        data.load_faces(tmp_path, 32, "all")


@pytest.mark.parametrize("size", [32, 64, 128])
def test_masks_have_the_expected_share_of_hole_pixels(size):
    rng = np.random.default_rng(0)
    shares = {name: np.mean([kind(rng, size).mean() for _ in range(100)]) for name, kind in masks.FAMILIES.items()}
    assert shares["half"] == 0.5 and shares["box"] == 0.25
    assert 0.03 < shares["thin"] < shares["wide"] < 0.5
    training = [masks.training_mask(rng, size) for _ in range(500)]
    assert all(m.shape == (size, size) and m.dtype == bool and m.any() for m in training)
    assert 0.06 < np.mean([m.all() for m in training]) < 0.14


def test_equal_generators_give_equal_masks():
    assert np.array_equal(masks.strokes(np.random.default_rng(4), 64), masks.strokes(np.random.default_rng(4), 64))
