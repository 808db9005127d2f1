import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from test_gate import card
from test_training import CONFIG, HERE, pictures  # noqa: F401

import data
import drift
import pipeline
from config import load_config
from register import next_version, read_card, register


def test_a_version_number_is_never_used_twice(tmp_path):
    assert next_version(tmp_path, "toy") == "1"
    for folder in ("toy/2", "toy/10", ".candidates/toy/11", "toy/.12.part"):
        (tmp_path / folder).mkdir(parents=True)
    assert next_version(tmp_path, "toy") == "12"
    assert next_version(tmp_path / ".candidates", "toy") == "12"
    (tmp_path / "toy/13").mkdir()
    assert next_version(tmp_path / ".candidates", "toy") == "14"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "../outside"}, "id must have lower-case letters"),
        ({"id": "My Faces"}, "id must have lower-case letters"),
        ({"version": "latest"}, "version must be a whole number as text, not 'latest'"),
        ({"version": 1}, "version must be a whole number as text, not 1"),
        ({"files": None}, "files must list unet.onnx"),
        ({"files": {"weights.safetensors": {"sha256": ""}}}, "files must list unet.onnx"),
        ({"files": {"unet.onnx": {"sha256": ""}, "../../x": {"sha256": ""}}}, "plain names, not '../../x'"),
        ({"files": {"unet.onnx": {}}}, "sha256 of unet.onnx"),
    ],
)
def test_a_version_that_the_service_would_refuse_is_not_registered(tmp_path, changes, message):
    folder = tmp_path / "models" / ".candidates" / "toy" / "1"
    folder.mkdir(parents=True)
    (folder / "unet.onnx").write_bytes(b"")
    files = {"unet.onnx": {"sha256": hashlib.sha256(b"").hexdigest()}}
    (folder / "model.json").write_text(json.dumps({"id": "toy", "version": "1", "files": files, **changes}))
    with pytest.raises(ValueError, match=message):
        register(folder, tmp_path / "models")
    assert folder.is_dir()


def test_features_depend_on_known_pixels_only_and_training_pictures_have_distance_1():
    rng = np.random.default_rng(0)
    level, contrast = rng.uniform(60, 200, (400, 1, 1, 3)), rng.uniform(5, 50, (400, 1, 1, 1))
    faces = np.clip(rng.normal(level, contrast, (400, 16, 16, 3)), 0, 255).astype(np.uint8)
    known = drift.statistics(faces)
    x, mask = faces.astype(np.float32) / 127.5 - 1, np.zeros((400, 16, 16), bool)
    mask[:, 4:9, 4:9] = True
    other = np.where(mask[..., None], 0.5, x)
    assert np.array_equal(drift.features(x, mask), drift.features(other, mask))
    assert float(np.sqrt((drift.distance(drift.features(x, mask), known) ** 2).mean())) == pytest.approx(1, abs=0.15)
    assert drift.distance(drift.features(np.full((1, 16, 16, 3), -1.0), mask[:1]), known)[0] > 3


def test_grey_pictures_have_statistics_that_the_service_accepts():
    grey = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), dtype=np.uint8).repeat(3, -1)
    known = drift.statistics(grey)
    assert all(feature["std"] > 0 for feature in known.values())
    colourful = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3))
    assert drift.distance(drift.features(colourful, np.zeros((1, 16, 16), bool)), known)[0] > 3


def test_a_refiner_is_refused_before_it_is_trained():
    command = [sys.executable, "pipeline.py", "configs/refiner-64.toml"]
    refused = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert refused.returncode == 1 and "refiner, which is no version of its own" in refused.stderr and not refused.stdout


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], r"celeba-inpaint-64@\d+ has a refiner, so a new version needs one: give --refiner"),
        (["--refiner", "nowhere.pt"], "No such file or directory: 'nowhere.pt'"),
        (["--refiner", "../models/celeba-inpaint-64/1"], "celeba-inpaint-64/1 has no refiner"),
    ],
)
def test_a_version_that_the_gate_would_refuse_for_its_refiner_is_not_trained(monkeypatch, more, message):
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "configs/celeba-64.toml", *more])
    monkeypatch.setattr(pipeline, "step", lambda *_: pytest.fail("began"))
    monkeypatch.chdir(HERE)
    with pytest.raises(SystemExit, match=message):
        pipeline.main()


def test_a_refiner_may_have_other_pictures_than_the_base(tmp_path, pictures, monkeypatch, capsys):  # noqa: F811
    config = load_config(HERE / "configs" / "refiner-64.toml")
    config |= {"data": str(pictures), "mix": {**config["mix"], "faces_side": 32, "photos": 0.0}}
    seen = data.digest(data.load_faces(pictures, 32, "train"))
    torch.save({"step": 1, "config": config, "ema": {}, "pictures": seen}, tmp_path / "refiner.pt")
    others = tmp_path / "others"
    others.mkdir()
    for path in sorted(pictures.iterdir())[:70]:
        (others / path.name).write_bytes(path.read_bytes())
    (tmp_path / "toy.toml").write_text(CONFIG.format(steps=2).replace('"unused"', f'"{others}"', 1))
    steps = []
    monkeypatch.setattr(pipeline, "step", lambda *command, **_: steps.append([str(part) for part in command]))
    command = ["pipeline.py", str(tmp_path / "toy.toml"), "--models", str(tmp_path / "models"), "--refiner", str(tmp_path / "refiner.pt")]
    monkeypatch.setattr(sys, "argv", command)
    pipeline.main()
    [exported] = [step for step in steps if "export.py" in step]
    assert "--data" not in exported
    assert f"into service: MODEL_DIR={tmp_path / 'models'} npm run --silent promote -- toy@1" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*command, "--data", str(others)])
    with pytest.raises(SystemExit, match=r"other pictures than those in .*others: give .* or a version as --base or --refiner"):
        pipeline.main()


@pytest.mark.parametrize(
    ("interrupted", "stays"),
    [("train.py", True), ("export.py", True), ("evaluate.py", False), ("gate.py", False), ("check-model", False), (None, True)],
)
def test_an_interrupted_pipeline_leaves_no_candidate_of_its_own(tmp_path, monkeypatch, interrupted, stays):
    (tmp_path / "toy.toml").write_text(CONFIG.format(steps=2))
    candidate = tmp_path / "models" / ".candidates" / "toy" / "1"

    def step(*command, **_):
        if interrupted in command:
            # Until this pipeline has exported it, a candidate of this name is another pipeline's.
            candidate.mkdir(parents=True, exist_ok=True)
            raise KeyboardInterrupt
        if "export.py" in command:
            candidate.mkdir(parents=True)

    monkeypatch.setattr(pipeline, "step", step)
    monkeypatch.setattr(sys, "argv", ["pipeline.py", str(tmp_path / "toy.toml"), "--models", str(tmp_path / "models")])
    with pytest.raises(SystemExit, match="run the same command to resume") if interrupted else contextlib.nullcontext():
        pipeline.main()
    assert candidate.exists() == stays


GIVEN = {"faces": None, "candidates": None, "candidate_steps": None}


def test_a_version_is_evaluated_as_the_one_in_service_was(monkeypatch):
    monkeypatch.setattr(pipeline.torch.cuda, "is_available", lambda: False)
    assert pipeline.settings({}, GIVEN) == ["--candidates", 8, "--candidate-steps", 4]
    assert pipeline.settings({}, {**GIVEN, "candidates": 2}) == ["--candidates", 2, "--candidate-steps", 4]
    against = card()
    assert pipeline.settings(against, GIVEN) == ["--faces", 606, "--candidates", 8, "--candidate-steps", 4]
    against["metrics"]["how"]["device"] = "cuda"
    with pytest.raises(SystemExit, match="toy@1 was evaluated with CUDA, which is missing here"):
        pipeline.settings(against, GIVEN)


@pytest.mark.parametrize("more", [["--faces", "25"], ["--candidates", "7"], ["--candidate-steps", "3"]])
def test_other_settings_than_those_of_the_version_in_service_are_refused_before_the_first_step(tmp_path, monkeypatch, more):
    (tmp_path / "toy.toml").write_text(CONFIG.format(steps=2))
    folder = tmp_path / "models" / "toy" / "1"
    folder.mkdir(parents=True)
    (folder / "unet.onnx").write_bytes(b"")
    of = {**card(), "files": {"unet.onnx": {"sha256": hashlib.sha256(b"").hexdigest()}}}
    of["metrics"]["how"]["faces"] = 24
    (folder / "model.json").write_text(json.dumps(of))
    steps = []
    monkeypatch.setattr(pipeline, "step", lambda *command, **_: steps.append([str(part) for part in command]))
    command = ["pipeline.py", str(tmp_path / "toy.toml"), "--models", str(tmp_path / "models")]
    monkeypatch.setattr(sys, "argv", command)
    pipeline.main()
    [evaluation] = [step for step in steps if "evaluate.py" in step]
    assert evaluation[evaluation.index("--faces") + 1] == "24"
    monkeypatch.setattr(sys, "argv", [*command, *more])
    monkeypatch.setattr(pipeline, "step", lambda *_: pytest.fail("began"))
    name = more[0].removeprefix("--").replace("-", "_")
    with pytest.raises(SystemExit, match=rf"toy@1 was evaluated with {name} \d+, not {more[1]}"):
        pipeline.main()


SLOW_TO_STOP = """
import signal, sys, time
def save(*_):
    time.sleep(1)  # the rest of a training step
    print("saved", flush=True)
    sys.exit()
signal.signal(signal.SIGINT, save)
signal.signal(signal.SIGTERM, save)
print("started", flush=True)
signal.pause()
"""


@pytest.mark.parametrize(("send", "sent"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_an_interrupted_pipeline_waits_until_its_step_has_saved(tmp_path, send, sent):
    (tmp_path / "slow.py").write_text(SLOW_TO_STOP)
    code = f"import sys, pipeline; pipeline.step(sys.executable, {str(tmp_path / 'slow.py')!r})"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=HERE, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while "started" not in process.stdout.readline():
            assert process.poll() is None
        send(process.pid, sent)
        try:
            out, error = process.communicate(timeout=120)
        finally:  # the step, if the signal did not reach it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert "saved" in out and "KeyboardInterrupt" in error


def test_the_pipeline_registers_a_first_version_and_refuses_a_worse_one(tmp_path, pictures):  # noqa: F811
    (tmp_path / "toy.toml").write_text(CONFIG.format(steps=2))
    models = tmp_path / "models"
    paths = ["--data", pictures, "--photos", pictures, "--run", tmp_path / "run", "--models", models]
    fast = ["--no-compile", "--precision", "fp32", "--threads", "1", "--device", "cpu"]

    def run(*more):
        command = [sys.executable, "pipeline.py", tmp_path / "toy.toml", *paths, *fast, *more]
        return subprocess.run(command, cwd=HERE, capture_output=True, text=True)

    first = run("--terms", "CC0, all of them.", "--promote", "--faces", "2", "--candidates", "2", "--candidate-steps", "1")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "PASS: toy@1 is the first version" in first.stdout and "toy@1 can be served" in first.stdout
    made = read_card(models / "toy" / "1")
    assert set(made["metrics"]) == {"how", "thin", "wide", "box", "half"} and set(made["data"]["statistics"]) == set(drift.FEATURES)
    assert json.loads((models / "serving.json").read_text())["default"] == "toy@1"

    text = (models / "toy" / "1" / "README.md").read_text()
    assert made["data"]["name"] == pictures.name and made["data"]["terms"] == "CC0, all of them." and "CC0, all of them)" in made["licence"]
    assert f"The training data is {pictures.name}. Terms: CC0, all of them." in text and "CelebA" not in text + json.dumps(made)

    assert made["sampling"] == {"spacing": "log_snr", "final_timestep": 8}
    assert made["metrics"]["how"]["spacing"] == "log_snr" and made["metrics"]["box"]["sample"]["sharpness"] > 0
    made["metrics"]["box"]["mean_of_2"]["l1"] /= 2  # much better than a repetition of the same training can be
    (models / "toy" / "1" / "model.json").write_text(json.dumps(made))
    [measured] = (tmp_path / "run" / "eval").glob("metrics-*.json")
    written = measured.stat().st_mtime_ns
    second = run()  # measures as the first version was measured
    assert second.returncode == 1
    assert "REFUSED: " in second.stderr and "l1 of mean_of_2 on box masks is" in second.stderr
    assert "pipeline stopped: gate.py failed with exit status 1" in second.stderr
    assert list((tmp_path / "run" / "eval").glob("metrics-*.json")) == [measured]
    assert measured.stat().st_mtime_ns == written  # the weights are the same: they were not evaluated again
    assert not (models / "toy" / "2").exists() and read_card(models / ".candidates" / "toy" / "2")

    weights = models / ".candidates" / "toy" / "2" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match="weights.safetensors is missing or does not match its digest in model.json: export the model again"):
        register(models / ".candidates" / "toy" / "2", models)
