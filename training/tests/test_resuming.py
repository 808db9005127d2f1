import errno
import hashlib
import json
import os
import signal
import tomllib

import pytest
import torch
from test_training import CONFIG

import resuming
import train

TARGET = {"steps": 9, "minutes": None}


def new(folder, **changes) -> train.Training:
    """A tiny training. changes: members of the config to replace."""
    (folder / "toy.toml").write_text(CONFIG.format(steps=9))
    return train.Training({**train.load_config(folder / "toy.toml"), **changes}, folder, "cpu", "fp32", compiled=False)


def written(folder, step: int, name: str = "last.pt", **state):
    training = new(folder)
    training.step = step
    for key, value in state.items():
        setattr(training, key, value)
    training.save(name)
    return folder / name


def begun(folder, given=None, init=None, target=TARGET) -> train.Training:
    training = new(folder)
    resuming.begin(training, given, init, target)
    return training


def test_a_repeated_command_with_resume_goes_on_from_what_it_has_written(tmp_path):
    before, last = written(tmp_path, 2, "before-decay.pt"), written(tmp_path, 5)
    (tmp_path / "log.jsonl").write_text('{"step": 5}\n')
    training = begun(tmp_path, before)
    assert training.step == 2
    kept = tmp_path / "branch-1"
    assert torch.load(kept / "last.pt", weights_only=True)["step"] == 5 and (kept / "log.jsonl").exists() and not last.exists()
    training.step = 4
    training.save("last.pt")
    training.save("before-decay.pt")  # the run overwrites the checkpoint that it started from
    assert begun(tmp_path, before).step == 4 and not (tmp_path / "branch-2").exists()
    longer = begun(tmp_path, before, target={"steps": 20, "minutes": None})
    assert longer.branch["steps"] == 20 and (tmp_path / "branch-2" / "last.pt").exists()


@pytest.mark.parametrize("target", [{"steps": 9, "minutes": None}, {"steps": 9, "minutes": 2}])
def test_a_resumption_with_nothing_left_to_train_is_refused_and_last_pt_stays(tmp_path, target):
    before, last = written(tmp_path, 9, "before-decay.pt", seconds=120.0), written(tmp_path, 5)
    with pytest.raises(SystemExit, match=r"has 9 steps in 2\.0 minutes, so nothing is left to train: --steps and --minutes are totals"):
        begun(tmp_path, before, target=target)
    assert last.exists() and not (tmp_path / "branch-1").exists()


def test_one_training_at_a_time_writes_to_a_run(tmp_path):
    lock = resuming.locked(tmp_path)
    with pytest.raises(SystemExit, match="another training writes to .*: stop it, or choose another --run"):
        resuming.locked(tmp_path)
    lock.close()
    resuming.locked(tmp_path).close()


def test_a_process_that_draws_batches_does_not_hold_the_lock_of_a_run(tmp_path):
    begun, began = os.pipe()
    with resuming.locked(tmp_path):
        child = os.fork()
        if not child:
            os.write(began, b".")
            signal.pause()
    try:
        os.read(begun, 1)
        resuming.locked(tmp_path).close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(begun)
        os.close(began)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_can_be_trained_on(tmp_path, monkeypatch, capsys, code):
    def flock(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(resuming.fcntl, "flock", flock)
    resuming.locked(tmp_path).close()
    assert f"{tmp_path} cannot be locked ({os.strerror(code)}): let no other training write to it" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [MemoryError, torch.OutOfMemoryError])
def test_a_checkpoint_that_does_not_fit_into_the_memory_is_not_called_something_else(tmp_path, monkeypatch, kind):
    def load(*_, **__):
        raise kind("out of memory")

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(kind, match="out of memory"):
        resuming.saved(tmp_path / "last.pt")


def test_why_a_file_is_no_checkpoint_is_said(tmp_path):
    (tmp_path / "last.pt").write_bytes(b"PK\x03\x04 the rest is missing")
    with pytest.raises(ValueError, match=r"last\.pt is not a checkpoint of train\.py: .*zip archive"):
        resuming.saved(tmp_path / "last.pt")


def test_without_resume_or_with_that_of_last_pt_a_training_goes_on_from_last_pt(tmp_path):
    assert begun(tmp_path).step == 0
    last = written(tmp_path, 5)
    assert begun(tmp_path).step == begun(tmp_path, last).step == 5 and last.exists()
    assert begun(tmp_path, written(tmp_path, 9)).step == 9  # complete: a command of the pipeline can be repeated


@pytest.mark.parametrize("key", ["branch", "init", "seconds"])
def test_older_checkpoints_without_a_key_still_load(tmp_path, key):
    last = written(tmp_path, 5)
    state = torch.load(last, weights_only=True)
    del state[key]
    torch.save(state, last)
    assert begun(tmp_path).step == 5


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        (r"\[loss\] prediction", {"loss": {"snr_cap": 5.0, "weight_floor": 0.0, "prediction": "epsilon"}}),
        ("batch", {"train": {**tomllib.loads(CONFIG.format(steps=9))["train"], "batch": 8}}),
    ],
)
def test_a_run_does_not_resume_with_another_config(tmp_path, part, changes):
    last = written(tmp_path, 1)
    with pytest.raises(SystemExit, match=f"another {part}"):
        new(tmp_path, **changes).resume(last)


def test_another_stage_distillation_or_guidance_is_refused_and_other_learning_rates_are_not():
    config = tomllib.loads(CONFIG.format(steps=9))
    for part, other in [
        ("stage", {"stage": "refiner"}),
        (r"\[distil\]", {"distil": {"steps": 4}}),
        (r"\[autoguidance\]", {"autoguidance": {"weight": 2}}),
        ("optimiser", {"train": {**config["train"], "muon_lr": 0}}),
    ]:
        with pytest.raises(SystemExit, match=f"another {part}"):
            resuming.check("last.pt", {**config, **other}, config)
    resuming.check("last.pt", {**config, "train": {**config["train"], "muon_lr": 1.0, "ema": 0.5}, "mix": {}}, config)


def test_another_init_than_that_of_last_pt_is_refused(tmp_path):
    (tmp_path / "unet.onnx").write_bytes(b"")
    files = {"unet.onnx": {"sha256": hashlib.sha256(b"").hexdigest()}}
    (tmp_path / "model.json").write_text(json.dumps({"id": "toy", "version": "2", "files": files}))
    written(tmp_path, 1, init="toy@2")
    assert begun(tmp_path, init=tmp_path).step == 1
    written(tmp_path, 1)
    with pytest.raises(SystemExit, match="started from new weights, not from toy@2"):
        begun(tmp_path, init=tmp_path)
