import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import export
import train
from batches import Sources, batch_at, zoomed
from optim import learning_rate, orthogonalise
from sheet import plot
from training_log import summary

HERE = Path(__file__).parent.parent
CONFIG = """
id = "toy"
data = "unused"
[model]
resolution = 16
channels = [32]
blocks = 1
attention = [8]
dropout = 0.1
[schedule]
type = "cosine"
T = 1000
[mix]
zoom = 0.3
zoom_from = 24
photos = 0.3
photos_data = "unused"
[loss]
snr_cap = 5.0
weight_floor = 0.4
[train]
steps = {steps}
batch = 4
muon_lr = 0.003
adam_lr = 0.0005
warmup = 2
decay = 0.0
clip = 1.0
ema = 0.99
seed = 1
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(80):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / f"{i:03}.png")
    return folder


def run(folder: Path, pictures: Path, steps: int, *more: str) -> dict:
    """Train up to `steps` in `folder`, resuming if possible, and return the checkpoint. more: other options of train.py."""
    folder.mkdir(exist_ok=True)
    (folder / "toy.toml").write_text(CONFIG.format(steps=steps))
    options = ["--data", pictures, "--photos", pictures, "--run", folder, "--no-compile", "--precision", "fp32", "--threads", "1", "--device", "cpu"]
    subprocess.run([sys.executable, "train.py", folder / "toy.toml", *options, *more], cwd=HERE, check=True, capture_output=True)
    return torch.load(folder / "last.pt", weights_only=True)


def last_line(log: Path) -> dict:
    return json.loads(log.read_text().splitlines()[-1])


def test_a_resumed_run_gives_the_same_result_as_an_uninterrupted_one(tmp_path, pictures):
    straight = run(tmp_path / "straight", pictures, 6)
    run(tmp_path / "resumed", pictures, 3)
    resumed = run(tmp_path / "resumed", pictures, 6)
    assert straight["step"] == resumed["step"] == 6
    for part in ("model", "ema"):
        for name, value in straight[part].items():
            assert torch.equal(value, resumed[part][name]), name
    straight_log, resumed_log = (last_line(tmp_path / name / "log.jsonl") for name in ("straight", "resumed"))
    for figure in ("validation", "validation_photos", "x0_error"):
        assert straight_log[figure] == resumed_log[figure]
    assert (tmp_path / "straight" / "samples.png").exists() and (tmp_path / "straight" / "loss.png").exists()


def test_batches_from_other_processes_are_the_same(tmp_path, pictures):
    straight, workers = run(tmp_path / "straight", pictures, 3), run(tmp_path / "workers", pictures, 3, "--workers", "2")
    for name, value in straight["model"].items():
        assert torch.equal(value, workers["model"][name]), name


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_saves_a_checkpoint(tmp_path, pictures, sent):
    (tmp_path / "toy.toml").write_text(CONFIG.format(steps=10**6))
    options = ["--data", pictures, "--photos", pictures, "--run", tmp_path, "--no-compile", "--device", "cpu", "--threads", "1", "--workers", "2"]
    command = [sys.executable, "train.py", tmp_path / "toy.toml", *options]
    with subprocess.Popen(command, cwd=HERE, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        log = tmp_path / "log.jsonl"
        while not log.exists() and process.poll() is None:
            time.sleep(0.1)
        os.killpg(process.pid, sent)
        assert "stopped and saved" in process.stdout.read()
    assert process.returncode == 128 + sent  # no script goes on with an incomplete training
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] >= 50


def test_a_run_with_a_budget_of_minutes_ends_whatever_the_number_of_steps(tmp_path, pictures):
    state = run(tmp_path / "long", pictures, 10**6, "--minutes", "0.02")
    assert 1.2 <= state["seconds"] < 60 and state["step"] < 10**6
    assert run(tmp_path / "short", pictures, 1, "--minutes", "0.02")["step"] > 1


def test_progress_is_counted_in_minutes_or_in_steps(tmp_path):
    (tmp_path / "toy.toml").write_text(CONFIG.format(steps=100))
    training = train.Training(train.load_config(tmp_path / "toy.toml"), tmp_path, "cpu", "fp32", compiled=False)
    training.step, training.seconds = 25, 90.0
    assert training.progress() == 0.25 and training.progress(minutes=2) == 0.75


def test_an_exported_model_has_the_trained_weights_and_is_not_overwritten_by_accident(tmp_path, pictures):
    state = run(tmp_path / "run", pictures, 2)
    folder = export.export(tmp_path / "run" / "last.pt", tmp_path / "models", "1", pictures=78)
    card = json.loads((folder / "model.json").read_text())
    assert card["precision"]["max_difference"] <= 1e-2 and card["data"]["pictures"] == 78
    assert set(card["files"]) == {"unet.onnx", "weights.safetensors"}
    with pytest.raises(FileExistsError, match="--version"):
        export.export(tmp_path / "run" / "last.pt", tmp_path / "models", "1", pictures=78)

    with pytest.raises(ValueError, match="whole number"):
        export.export(tmp_path / "run" / "last.pt", tmp_path / "models", "v2", pictures=78)
    export.export(tmp_path / "run" / "last.pt", tmp_path / "models", "1", pictures=78, force=True)
    assert [p.name for p in folder.parent.iterdir()] == ["1"]  # no temporary folder is left

    weights = load_file(folder / "weights.safetensors")
    assert set(weights) == set(state["ema"])
    for name, value in weights.items():
        assert torch.allclose(value.float(), state["ema"][name], atol=2e-3), name


def test_summary_gives_hours_and_loss_up_to_the_checkpoint(tmp_path):
    log = tmp_path / "log.jsonl"
    lines = [(50, 0), (100, 360), (150, 90_000), (200, 90_360), (250, 90_700)]  # with an interruption of a day
    log.write_text("".join(json.dumps({"step": s, "validation": 1 / s, "time": t}) + "\n" for s, t in lines))
    assert summary(log, 200) == {"hours": 0.2, "validation_loss": 1 / 200}
    assert summary(tmp_path / "none", 200) == {}
    assert summary(log, 200, seconds=3600.0) == {"hours": 1.0, "validation_loss": 1 / 200}  # of the checkpoint


def test_a_torn_last_line_of_the_log_is_left_out(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 5, "loss": 0.5, "validation": 0.25, "time": 100}\n{"step": 10')
    assert summary(log, 10) == {"hours": 0.0, "validation_loss": 0.25}
    plot(log, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").exists()


def test_learning_rate_warms_up_holds_and_falls_to_zero():
    config = {"warmup": 10, "decay": 0.3}
    rates = [learning_rate(step, step / 100, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9:71] == [1.0] * 62
    assert rates[85] == pytest.approx(0.5) and rates[100] == 0


def test_ema_follows_the_weights():
    model = torch.nn.Linear(2, 2)
    ema = train.Ema(model, 0.5)
    before = ema.shadow["weight"].clone()
    with torch.no_grad():
        model.weight += 1
    ema.update(1000)
    assert torch.allclose(ema.shadow["weight"], before + 0.5)
    with ema.applied():
        assert torch.equal(model.weight, ema.shadow["weight"]) and not model.training
    assert torch.allclose(model.weight, before + 1) and model.training


@pytest.mark.parametrize("shape", [(16, 16), (16, 64), (64, 16)])
def test_orthogonalise_brings_the_singular_values_close_to_1(shape):
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape, generator=torch.Generator().manual_seed(0))).float())
    assert float(values.min()) > 0.4 and float(values.max()) < 1.4


def test_a_run_does_not_resume_with_another_seed(tmp_path, pictures):
    run(tmp_path, pictures, 1)
    config = train.load_config(tmp_path / "toy.toml")
    config["train"]["seed"] = 2
    with pytest.raises(SystemExit, match=r"another seed \(1, not 2\)"):
        train.Training(config, tmp_path, "cpu", "fp32", compiled=False).resume(tmp_path / "last.pt")


def test_rows_come_from_faces_zoomed_crops_and_photographs_in_the_shares_of_the_mix():
    faces, large, photos = (np.full((50, side, side, 3), value, np.uint8) for side, value in [(16, 10), (32, 20), (64, 30)])
    config = {"train": {"seed": 1, "batch": 50}, "mix": {"zoom": 0.2, "photos": 0.3}}
    rows = torch.cat([batch_at(step, Sources(faces, large, photos), config, 1000)[0] for step in range(20)])
    values, counts = np.unique(rows[:, 0, 0, 0].numpy(), return_counts=True)
    assert values.tolist() == [10, 20, 30]
    assert counts / 1000 == pytest.approx([0.5, 0.2, 0.3], abs=0.05)


def test_zoomed_crops_show_between_size_px_and_the_whole_picture():
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8)[None, :, None], (128, 128, 3))
    rng = np.random.default_rng(0)
    spans = [int(crop[32, -3, 0]) - int(crop[32, 2, 0]) for crop in (zoomed(rng, ramp, 64) for _ in range(50))]
    assert min(spans) >= 58 and max(spans) <= 120 and max(spans) > 100  # crops of 64 to 128 px of the ramp


def test_a_network_with_variances_trains_exports_and_says_so_in_its_card(tmp_path, pictures):
    """From a version without variances: --init adds them."""
    run(tmp_path / "plain", pictures, 2)
    plain = export.export(tmp_path / "plain" / "last.pt", tmp_path / "models", "1", pictures=78)
    text = CONFIG.format(steps=2).replace("resolution = 16", "resolution = 16\nout_channels = 6")
    text = text.replace("weight_floor = 0.4", 'weight_floor = 0.0\nprediction = "v"\nweighting = "simple"\nvlb_weight = 0.001')
    (tmp_path / "learned.toml").write_text(text)
    training = train.Training(train.load_config(tmp_path / "learned.toml"), tmp_path, "cpu", "fp32", compiled=False)
    training.start_from(plain)
    sources = training.stage.load(pictures, pictures, "train")
    for batch in itertools.islice(training.batches(sources, workers=0), 2):
        training.train_step(batch, progress=0)
    training.save("last.pt")
    card = json.loads((export.export(tmp_path / "last.pt", tmp_path / "models", "2", pictures=78) / "model.json").read_text())
    assert (card["out_channels"], card["sampling"]["variance"], card["prediction"]) == (6, "learned", "v")
    assert training.model.head.bias[12:].any()  # the rows of the variances were trained


def refused(tmp_path: Path, text: str, *options) -> str:
    """Why train.py refuses a config. Checks that it is one sentence, without a traceback."""
    (tmp_path / "refused.toml").write_text(text)
    command = [sys.executable, "train.py", tmp_path / "refused.toml", "--run", tmp_path / "refused", "--device", "cpu", "--no-compile", *options]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    return done.stderr.strip()


def test_what_cannot_be_trained_is_refused_with_a_sentence(tmp_path, pictures):
    given = ["--data", pictures, "--photos", pictures]
    config = CONFIG.format(steps=1)
    assert refused(tmp_path, config, "--data", tmp_path / "nowhere").startswith("no data folder at ")
    assert "weights.safetensors" in refused(tmp_path, config, *given, "--init", tmp_path)
    wider = "../models/celeba-inpaint-64/5"
    channels = "channels = (64, 128, 192), not (32,)"
    assert refused(tmp_path, config, *given, "--init", HERE / wider) == f"the weights of {HERE / wider} do not fit [model]: {channels}"
    student = config.replace("[loss]\nsnr_cap = 5.0\nweight_floor = 0.4", f'[distil]\nteacher = "{wider}"\nsteps = 4\nsubsteps = 3\nfinal = 8')
    student = student.replace('id = "toy"', 'id = "toy"\nstage = "student"')
    assert refused(tmp_path, student, *given) == "[model] resolution must be that of celeba-inpaint-64@5: 64, not 16"
    other = student.replace("resolution = 16", "resolution = 64").replace("blocks = 1", "blocks = 2").replace("zoom_from = 24", "zoom_from = 64")
    other = other.replace("attention = [8]", "attention = [32]")
    differing = "channels = (64, 128, 192), not (32,), blocks = 1, not 2, attention = (8,), not (32,), dropout = 0.0, not 0.1"
    assert refused(tmp_path, other, *given) == f"[model] must be that of the teacher, celeba-inpaint-64@5: {differing}"
    linear = student.replace('type = "cosine"', 'type = "linear"')
    assert refused(tmp_path, linear, *given).startswith("[schedule] must be that of celeba-inpaint-64@5: ")


def test_a_checkpoint_names_its_pictures_and_does_not_resume_with_others(tmp_path, pictures):
    state = run(tmp_path / "run", pictures, 1)
    assert state["config"]["data"] == state["config"]["mix"]["photos_data"] == str(pictures)
    others = tmp_path / "others"
    others.mkdir()
    for i, path in enumerate(sorted(pictures.iterdir())[::-1]):
        (others / f"{i:03}.png").write_bytes(path.read_bytes())
    options = ["--data", others, "--photos", others, "--run", tmp_path / "run", "--device", "cpu", "--no-compile"]
    assert "last.pt was trained on other pictures: choose another --run, or start" in refused(tmp_path, CONFIG.format(steps=2), *options)


@pytest.mark.parametrize("config", ["celeba-64-mix", "refiner-64"])
def test_missing_photographs_are_called_so(tmp_path, monkeypatch, config):
    stage = train.stage_of(train.load_config(HERE / "configs" / f"{config}.toml"))
    monkeypatch.setattr("stages.load_faces", lambda *_: range(1000))
    with pytest.raises(FileNotFoundError, match=r"no photographs at .*nowhere: make it with photos.py, give --photos, or set \[mix\] photos = 0"):
        stage.load(tmp_path, tmp_path / "nowhere", "train")


def test_fewer_pictures_than_a_batch_are_refused_with_a_sentence(tmp_path, pictures):
    (tmp_path / "toy.toml").write_text(CONFIG.format(steps=1).replace("batch = 4", "batch = 81"))
    stage = train.stage_of(train.load_config(tmp_path / "toy.toml"))
    with pytest.raises(ValueError, match=r"\[train\] batch is 81, but .* has only 7\d training pictures"):
        stage.load(pictures, pictures, "train")
    assert len(stage.load(pictures, pictures, "validation").faces) < 81


def test_a_warm_up_of_no_steps_begins_with_the_full_learning_rate():
    assert learning_rate(0, 0, {"warmup": 0, "decay": 0}) == 1


def taught(tmp_path: Path, pictures: Path, stage: str, section: str) -> tuple[dict, dict, dict]:
    """Train a stage for two steps on its teacher, toy@1, and export it. Returns the teacher's weights, those exported, and the card.

    section: of the config, with {teacher} for the folder of toy@1 and {weaker} for that of toy@2, which was trained for one step.
    """
    run(tmp_path / "run", pictures, 1)
    weaker = export.export(tmp_path / "run" / "last.pt", tmp_path / "models", "2", 78)
    run(tmp_path / "run", pictures, 2)
    teacher = export.export(tmp_path / "run" / "last.pt", tmp_path / "models", "1", 78)
    config = CONFIG.replace("[loss]\nsnr_cap = 5.0\nweight_floor = 0.4\n", section.format(teacher=teacher, weaker=weaker))
    config = config.replace("dropout = 0.1\n", "")  # exported versions have none
    file, folder = tmp_path / "taught.toml", tmp_path / stage
    file.write_text(config.format(steps=2).replace('id = "toy"', f'id = "{stage}"\nstage = "{stage}"'))
    options = ["--data", pictures, "--photos", pictures, "--run", folder, "--no-compile", "--precision", "fp32", "--device", "cpu"]
    subprocess.run([sys.executable, "train.py", file, *options], cwd=HERE, check=True, capture_output=True)
    weights = load_file(teacher / "weights.safetensors")
    network = train.stage_of(train.load_config(file)).network()
    assert all(torch.equal(value, weights[name].float()) for name, value in network.state_dict().items())  # what it starts from
    version = export.export(folder / "last.pt", tmp_path / "models", "1", 78)
    return weights, load_file(version / "weights.safetensors"), json.loads((version / "model.json").read_text())


def test_a_student_starts_as_its_teacher_learns_and_is_exported_with_its_own_defaults(tmp_path, pictures):
    before, after, card = taught(tmp_path, pictures, "student", '[distil]\nteacher = "{teacher}"\nsteps = 2\nsubsteps = 3\nfinal = 8\n')
    assert card["id"] == "student" and card["defaults"] == {"sampler": "ddim", "steps": 2, "eta": 0}
    assert card["sampling"] == {"spacing": "trailing", "final_timestep": 0} and card["prediction"] == "v"
    assert not torch.equal(after["head.bias"], before["head.bias"])


def test_an_autoguided_model_starts_as_its_teacher_learns_and_says_who_guided_it(tmp_path, pictures):
    section = '[autoguidance]\nteacher = "{teacher}"\nguide = "{weaker}"\nweight = 1.5\n'
    before, after, card = taught(tmp_path, pictures, "autoguided", section)
    assert "distilled from toy@1 guided by toy@2 with weight 1.5" in card["description"]
    assert card["defaults"] == {"sampler": "dpmpp_2m", "steps": 12, "eta": 0} and card["sampling"] == {"spacing": "log_snr", "final_timestep": 8}
    assert not torch.equal(after["head.bias"], before["head.bias"])
