import argparse
import hashlib
import json
import sys

import cv2
import numpy as np
import pytest
import torch

import bits
import drift
import evaluate
import inference
import pipeline
import quantise
import refining
import samplers
import scores
import sharp
import terms


def test_frechet_distance_of_gaussians_matches_the_closed_form():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (200_000, 3)), rng.normal(2, 3, (200_000, 3))
    assert scores.frechet(a, b) == pytest.approx(3 * (2**2 + (3 - 1) ** 2), rel=0.02)
    assert scores.frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_the_extrapolated_frechet_distance_has_little_of_the_bias_of_small_sets():
    rng = np.random.default_rng(3)
    d, n = 32, 400
    a, b = rng.normal(0, 1, (n, d)), rng.normal(0.1, 1, (n, d))
    true = d * 0.1**2
    found = scores.frechet_extrapolated(a, b)
    assert scores.frechet(a, b) > 4 * true
    assert abs(found - true) < 0.3 * (scores.frechet(a, b) - true)
    assert scores.frechet_extrapolated(a[:95], b[:95]) is None
    assert evaluate.distances(a, b)["frechet_extrapolated"] == pytest.approx(found, abs=1e-5)
    assert evaluate.distances(a[:95], b[:95]).keys() == {"frechet"}


def test_ratios_of_extrapolated_distances_are_told():
    one = {"sample": {"frechet_extrapolated": 0.013}, "telea": {"frechet_extrapolated": 0.136}}
    told = evaluate.extrapolations({"thin": one, "wide": {"sample": {}, "telea": {}}, "box": one})
    assert told.endswith("(Chong & Forsyth 2020): centre box 0.0130, 0.096 times that of Telea (0.1360).")
    assert evaluate.extrapolations({"thin": one}) == ""


@pytest.mark.parametrize(("name", "tested"), [(terms.CELEBA["name"], "50 faces of people that"), ("flowers", "50 pictures that")])
def test_the_card_says_what_was_measured(tmp_path, name, tested):
    (tmp_path / "model.json").write_text(json.dumps({"data": {"name": name}}))
    (tmp_path / "README.md").write_text("before <!-- metrics -->old<!-- /metrics --> after")
    telea = {"l1": 30.0, "psnr": 15.0, "frechet": 0.15, "frechet_extrapolated": 0.1}
    metrics = {"box": {"telea": telea, "sample": telea | {"frechet_extrapolated": 0.01, "sharpness": 0.9}}}
    how = {"faces": 50, "sampler": "ddim", "steps": 4, "spacing": "trailing", "final_timestep": None, "candidates": 1}
    evaluate.write_card(tmp_path, metrics, how)
    assert json.loads((tmp_path / "model.json").read_text())["metrics"] == {"how": how, **metrics}
    text = (tmp_path / "README.md").read_text()
    assert tested in text and "old" not in text and text.startswith("before ") and text.endswith(" after")
    assert "| centre box | 30.0 · 15.0 dB · 0.1500 | 30.0 · 15.0 dB · 0.1500 · 0.90 |" in text
    assert "centre box 0.0100, 0.100 times that of Telea (0.1000)." in text


def test_l1_and_psnr_cover_only_the_hole():
    faces = np.full((2, 4, 4, 3), 100, np.uint8)
    holes = np.zeros((2, 4, 4), bool)
    holes[:, 0] = True
    found = faces.copy()
    found[:, 0] += 10
    found[:, 1] = 0  # not in the hole
    assert scores.hole_l1(found, faces, holes) == 10
    assert scores.hole_psnr(found, faces, holes) == pytest.approx(10 * np.log10(255**2 / 100))


def test_telea_continues_a_picture_of_one_colour():
    face = np.full((16, 16, 3), 77, np.uint8)
    hole = np.zeros((16, 16), bool)
    hole[4:9, 4:9] = True
    assert np.abs(evaluate.telea(face, hole).astype(int) - 77).max() <= 3  # rounding errors accumulate towards the centre


def waves(amplitude: float) -> np.ndarray:
    """uint8 [1, 32, 32, 3]: cos(2 pi x / 8) cos(2 pi y / 8), whose Laplacian is 4 (cos(2 pi / 8) - 1) times itself."""
    wave = np.cos(np.arange(32) * np.pi / 4)
    return np.broadcast_to((128 + amplitude * np.outer(wave, wave))[None, :, :, None], (1, 32, 32, 3)).round().astype(np.uint8)


def test_sharpness_is_the_share_of_the_laplacian_that_is_left_inside_the_hole():
    faces, holes = waves(100), np.zeros((1, 32, 32), bool)
    holes[:, 8:24, 8:24] = True
    assert scores.sharpness(faces, faces, holes) == 1
    assert scores.sharpness(waves(50), faces, holes) == pytest.approx(0.5, abs=0.01)
    edges = waves(50)
    edges[:, :8] = edges[:, 24:] = 255  # known pixels do not count, though the Laplacian of the rim depends on them
    edges[:, :, :8] = edges[:, :, 24:] = 0
    assert scores.sharpness(edges, faces, holes) == pytest.approx(0.5, abs=0.01)
    blurred = cv2.GaussianBlur(faces[0], (0, 0), 1)[None]
    assert scores.sharpness(blurred, faces, holes) == pytest.approx(np.exp(-((np.pi / 4) ** 2)), abs=0.02)


def test_sharpness_is_undefined_where_no_hole_is_wider_than_its_rim():
    holes = np.zeros((1, 32, 32), bool)
    holes[:, 4:6] = True
    assert scores.sharpness(waves(50), waves(100), holes) is None
    assert scores.sharpness(waves(50), np.full((1, 32, 32, 3), 9, np.uint8), ~holes) is None


class Repeating:
    """A sampler that returns the originals and records the seeds of each call."""

    steps = 12

    def __init__(self):
        self.calls = []

    def fill(self, faces, holes, seeds, bar):
        self.calls.append(list(seeds))
        return faces.copy()


def test_every_face_and_candidate_has_a_noise_seed_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "descriptors", lambda faces: faces[:, 0, :2].reshape(len(faces), -1).astype(float))
    faces, sampler = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8), Repeating()
    (tmp_path / "kept.json").write_text('{"thin": {"tel')  # cut off by a crash
    metrics = evaluate.evaluate(sampler, faces, ["thin", "box"], 3, 4, tmp_path / "kept.json")
    assert len(sampler.calls) == 2 * 4
    for family in (sampler.calls[:4], sampler.calls[4:]):
        assert len({seed for call in family[1:] for seed in call}) == 3 * 5  # the candidates
        assert len(set(family[0])) == 5
    assert metrics["box"]["sample"] == {"l1": 0, "psnr": pytest.approx(78.13, abs=0.01), "frechet": pytest.approx(0, abs=1e-3), "sharpness": 1}
    assert set(metrics["thin"]) == {"telea", "sample", "mean_of_3"}
    assert json.loads((tmp_path / "kept.json").read_text()) == metrics


@pytest.mark.parametrize(
    ("text", "reason"),
    [("import 'no-such-package';", "Cannot find package 'no-such-package'"), ("process.exit(3)", "returned non-zero exit status 3")],
)
def test_why_descriptors_failed_is_told(tmp_path, monkeypatch, text, reason):
    (tmp_path / "descriptors.mjs").write_text(text)
    monkeypatch.setattr(scores, "HERE", tmp_path)
    with pytest.raises(SystemExit, match=f"descriptors.mjs failed: .*{reason}.*It needs Node.js, and `npm ci`"):
        scores.descriptors(np.zeros((1, 32, 32, 3), np.uint8))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="No such file or directory: 'node'.*It needs Node.js"):
        scores.descriptors(np.zeros((1, 32, 32, 3), np.uint8))


def test_unknown_names_on_the_command_line_are_named():
    parse = evaluate.names(["thin", "box"])
    assert parse("box,thin") == ["box", "thin"]
    with pytest.raises(argparse.ArgumentTypeError, match="wide: not one of thin, box"):
        parse("box,wide")


def test_verdicts_and_table_show_the_sharpness():
    scores = {"l1": 20.0, "psnr": 18.0, "frechet": 0.01}
    metrics = {"box": {"telea": {**scores, "frechet": 0.1}, "sample": {**scores, "sharpness": 0.84}}}
    assert ("box: sharpness 0.84 of the originals', required 0.85 to 1.1", False) in evaluate.verdicts(metrics)
    metrics["box"]["sample"]["sharpness"] = 0.86
    assert all(holds for _, holds in evaluate.verdicts(metrics))
    assert "| 20.0 · 18.0 dB · 0.0100 · 0.86 |" in evaluate.table(metrics)


def version(folder, *names: str):
    """Write a version with these empty files."""
    for name in names:
        (folder / name).write_bytes(b"")
    files = {name: {"sha256": hashlib.sha256(b"").hexdigest()} for name in names}
    (folder / "model.json").write_text(json.dumps({"id": "toy", "version": "1", "files": files, "defaults": {}}))


@pytest.mark.parametrize("program", [bits, evaluate, refining, samplers])
def test_a_model_without_weights_is_refused_with_a_sentence(tmp_path, monkeypatch, program):
    version(tmp_path, "unet.onnx")
    monkeypatch.setattr(sys, "argv", [program.__name__, str(tmp_path)])
    with pytest.raises(SystemExit, match="has no weights.safetensors: only models that train.py has trained"):
        program.main()


def test_ways_to_sample_a_refiner_need_one(tmp_path, monkeypatch):
    version(tmp_path, "unet.onnx", "weights.safetensors")
    monkeypatch.setattr(sys, "argv", ["refining.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="has no refiner"):
        refining.main()


@pytest.mark.parametrize("option", ["--steps=0", "--steps=-5", "--candidate-steps=0", "--candidates=1.5", "--batch=x"])
def test_numbers_that_count_something_are_at_least_1(monkeypatch, capsys, option):
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "folder", option])
    with pytest.raises(SystemExit):
        evaluate.main()
    assert "must be a whole number of at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("program", [evaluate, pipeline, quantise, refining, samplers])
def test_a_frechet_distance_needs_two_faces(monkeypatch, capsys, program):
    monkeypatch.setattr(sys, "argv", [program.__name__, "folder", "--faces=1"])
    with pytest.raises(SystemExit):
        program.main()
    assert "--faces: 1: must be a whole number of at least 2" in capsys.readouterr().err


def test_the_bits_of_one_face_have_no_standard_error():
    assert bits.estimate(torch.tensor([3.0])) == {"bits": 3.0, "error": None}
    assert bits.estimate(torch.tensor([3.0, 4.0])) == {"bits": 3.5, "error": 0.5}


def test_pictures_are_taken_from_all_of_a_data_set():
    assert sharp.spread(np.arange(432), 300)[-1] == 431 and len(sharp.spread(np.arange(432), 300)) == 300
    assert np.array_equal(sharp.spread(np.arange(432), 500), np.arange(432))
    assert sharp.spread(np.arange(10), 4).tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("program", [bits, drift, evaluate, quantise, refining, samplers])
def test_a_model_of_other_pictures_is_not_measured_with_those_of_celeba(tmp_path, monkeypatch, program):
    version(tmp_path, "unet.onnx", "weights.safetensors")
    more = {"data": {"name": "flowers"}, "resolution": 16, "schedule": {"type": "cosine", "T": 1000}, "conditioning": "inpaint", "refiner": {}}
    defaults = {"sampler": "ddim", "steps": 2, "eta": 0}
    (tmp_path / "model.json").write_text(json.dumps({**json.loads((tmp_path / "model.json").read_text()), **more, "defaults": defaults}))
    monkeypatch.setattr(sys, "argv", [program.__name__, str(tmp_path)])
    with pytest.raises(SystemExit, match="toy@1 was trained on flowers: give their folder as --data"):
        program.main()


@pytest.mark.parametrize("program", [bits, drift, evaluate, quantise, refining, samplers])
def test_a_folder_without_a_version_is_refused_with_a_sentence(tmp_path, monkeypatch, program):
    monkeypatch.setattr(sys, "argv", [program.__name__, str(tmp_path)])
    with pytest.raises(SystemExit, match="is not an exported model: .* Create one with export.py"):
        program.main()


@pytest.mark.parametrize(("device", "expected"), [("cpu", ("cpu", "fp32")), ("cuda:1", ("cuda", "bf16"))])
def test_the_card_says_what_computed_the_metrics(device, expected):
    assert tuple(inference.computed_by(device).values()) == expected


@pytest.mark.parametrize(("device", "expected"), [("cpu", [4, 1]), ("meta", [4, 4])])
def test_only_a_compiled_network_is_given_full_batches(monkeypatch, device, expected):
    sampler = inference.Sampler.__new__(inference.Sampler)
    sampler.device, sampler.batch, given = device, 4, []
    monkeypatch.setattr(sampler, "_draw", lambda x0, *_: given.append(len(x0)) or torch.zeros(x0.shape))
    faces = np.zeros((5, 8, 8, 3), np.uint8)
    assert len(sampler.fill(faces, np.ones((5, 8, 8), bool), list(range(5)), None)) == 5
    assert given == expected


def test_seams_need_photographs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sharp.py", "seams", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        sharp.main()
    assert "give --photos" in capsys.readouterr().err
