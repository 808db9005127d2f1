import argparse
import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from network_vectors import assert_same
from test_training import CONFIG, pictures  # noqa: F401

import data
import export
import photos
import train
from export_refiner import Refiner, with_refiner, with_section
from refiner import load_refiner
from register import read_card
from vectors_refiner import CONFIG as TINY
from vectors_refiner import FOLDER, network, text

HERE = Path(__file__).parent.parent
BASE_FILES, REFINER_FILES = {"unet.onnx", "weights.safetensors"}, {"refiner.onnx", "refiner.safetensors"}
SOURCES = ({"name": "wallpapers", "licence": "CC0-1.0", "pictures": 3},)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Checkpoints of a tiny base model and a tiny refiner, as train.py writes them: {"base", "refiner"}."""
    folder, out = tmp_path_factory.mktemp("checkpoints"), {}
    (folder / "base.toml").write_text(CONFIG.format(steps=2))
    (folder / "refiner.toml").write_text((HERE / "configs" / "refiner-64.toml").read_text())
    for name in ("base", "refiner"):
        config = train.load_config(folder / f"{name}.toml")
        if name == "refiner":
            config["model"] = {"resolution": 16, "channels": list(TINY.channels), "embedding": TINY.embedding}
        model, _ = train.build(config)
        weights = network().state_dict() if name == "refiner" else model.state_dict()
        out[name] = folder / name / "last.pt"
        out[name].parent.mkdir()
        torch.save({"step": 7, "config": config, "ema": weights}, out[name])
    return out


@pytest.fixture(scope="module")
def models(tmp_path_factory, checkpoints):
    """A folder of models: version 1 without a refiner, version 2 with one, version 3 with the base of 1."""
    models = tmp_path_factory.mktemp("models")
    refiner = Refiner(checkpoints["refiner"], 40, SOURCES)
    base = export.export(checkpoints["base"], models, "1", pictures=78)
    (base / "README.md").write_text((base / "README.md").read_text().replace("Not evaluated yet.", "Evaluated by hand."))
    export.export(checkpoints["base"], models, "2", pictures=78, refiner=refiner, photographs=list(SOURCES))
    export.reuse(base, models, "3", refiner)
    return models / "toy"


def test_a_version_with_a_refiner_has_both_networks_and_a_section_about_it(models, checkpoints):
    card = read_card(models / "2")  # verifies the digests
    assert set(card["files"]) == BASE_FILES | REFINER_FILES == {p.name for p in (models / "2").iterdir()} - {"model.json", "README.md"}
    refiner = card["refiner"]
    assert (refiner["resolution"], refiner["in_channels"], refiner["out_channels"]) == (16, 8, 3)
    assert refiner["schedule"] == {"type": "cosine", "T": 1000} and 0 <= refiner["level"] <= refiner["level_max"] == 0.3
    assert refiner["data"][0]["pictures"] == 40 and refiner["data"][1:] == list(SOURCES) == card["data"]["photographs"]
    assert refiner["training"]["windows_seen"] == 7 * 32 and 0 < refiner["precision"]["max_difference"] <= 1e-2
    readme = (models / "2" / "README.md").read_text()
    assert readme.count("## Refiner") == 1 and "| wallpapers | CC0-1.0 | 3 |" in readme
    assert readme.index("## Quality") < readme.index("## Refiner") < readme.index("## Intended use")
    trained = torch.load(checkpoints["refiner"], weights_only=True)["ema"]
    exported = load_refiner(models / "2" / "refiner.safetensors", refiner["architecture"]).state_dict()
    assert set(trained) == set(exported)
    for name, value in exported.items():
        assert torch.allclose(value, trained[name], atol=2e-3), name


def test_the_exported_refiner_computes_what_the_trained_one_does_for_any_number_of_rows(models):
    session = onnxruntime.InferenceSession(models / "2" / "refiner.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[1:] == [8, 16, 16] and isinstance(session.get_inputs()[0].shape[0], str)
    model, generator = network(), torch.Generator().manual_seed(3)
    for n in (1, 7):
        x, t = torch.randn(n, 8, 16, 16, generator=generator), torch.randint(0, 1000, (n,), generator=generator).float()
        (found,) = session.run(None, {"x": x.numpy(), "t": t.numpy()})
        with torch.no_grad():
            assert np.abs(found - model(x, t).numpy()).max() < 1e-4


def test_an_exported_refiner_has_no_reduction_over_channels(models):
    import onnx

    kinds = {node.op_type for node in onnx.load(models / "2" / "refiner.onnx").graph.node}
    assert not {kind for kind in kinds if kind.startswith("Reduce")}  # slow in onnxruntime, see PixelNorm


def test_a_new_version_has_the_base_of_another_one(models):
    one, three = read_card(models / "1"), read_card(models / "3")
    assert set(one["files"]) == BASE_FILES and "refiner" not in one and "photographs" not in one["data"]
    assert three["version"] == "3" and set(three["files"]) == BASE_FILES | REFINER_FILES
    for name in BASE_FILES:
        assert three["files"][name] == one["files"][name]
    changed = {k for k in three if three[k] != one.get(k)}
    assert changed == {"version", "files", "refiner"}
    readme = (models / "3" / "README.md").read_text()
    assert readme.startswith("# toy, version 3\n") and "Evaluated by hand." in readme and readme.count("## Refiner") == 1


def test_a_refiner_of_another_version_is_taken_over(tmp_path, models, checkpoints):
    folder = export.export(checkpoints["base"], tmp_path, "4", pictures=78, refiner=Refiner(models / "2"))
    two, four = read_card(models / "2"), read_card(folder)
    assert four["refiner"] == two["refiner"]
    assert all(four["files"][name] == two["files"][name] for name in REFINER_FILES)
    again = export.reuse(folder, tmp_path, "5", Refiner(models / "3"))
    assert (again / "README.md").read_text().count("## Refiner") == 1
    without = with_refiner((again / "README.md").read_text(), {})
    assert "## Refiner" not in without and "## Quality" in without and "## Intended use" in without


def test_what_is_not_a_refiner_or_a_base_model_is_refused_and_nothing_is_left(tmp_path, models, checkpoints):
    with pytest.raises(ValueError, match="is not a refiner"):
        export.reuse(models / "1", tmp_path, "1", Refiner(checkpoints["base"]))
    with pytest.raises(ValueError, match="has no refiner"):
        export.reuse(models / "1", tmp_path, "1", Refiner(models / "1"))
    with pytest.raises(ValueError, match="is a refiner: use --refiner"):
        export.export(checkpoints["refiner"], tmp_path, "1", pictures=1)
    with pytest.raises(FileExistsError, match="--version"):
        export.reuse(models / "1", models.parent, "2", Refiner(models / "2"))
    assert not list(tmp_path.glob("*/*"))


def test_what_is_not_a_checkpoint_is_refused_with_a_sentence(tmp_path, models):
    (tmp_path / "junk.pt").write_bytes(b"junk")
    torch.save({"weights": {}}, tmp_path / "other.pt")
    for file in (tmp_path / "junk.pt", tmp_path / "other.pt", models / "1" / "weights.safetensors"):
        with pytest.raises(ValueError, match=f"{file.name} is not a checkpoint of train.py"):
            export.export(file, tmp_path, "1", pictures=1)
        with pytest.raises(ValueError, match=f"{file.name} is not a checkpoint of train.py"):
            export.reuse(models / "1", tmp_path, "1", Refiner(file))
    with pytest.raises(FileNotFoundError):
        export.export(tmp_path / "none.pt", tmp_path, "1", pictures=1)


@pytest.mark.parametrize(("name", "side"), [("base", 16), ("refiner", 32)])
def test_pictures_that_a_checkpoint_was_not_trained_on_are_refused(tmp_path, checkpoints, pictures, name, side):  # noqa: F811
    state = torch.load(checkpoints[name], weights_only=True)
    state["config"]["mix"] |= {"photos": 0.0, **({"faces_side": side} if name == "refiner" else {})}
    state["pictures"] = data.digest(data.load_faces(pictures, side, "train"))
    torch.save(state, tmp_path / "last.pt")
    others = tmp_path / "others"
    others.mkdir()
    for path in sorted(pictures.iterdir())[:70]:
        (others / path.name).write_bytes(path.read_bytes())

    def made(folder) -> object:
        args = argparse.Namespace(checkpoint=tmp_path / "last.pt", data=folder, photos=None, out=tmp_path, version="1", terms=None, force=False)
        args.refiner, args.spacing, args.final_timestep = tmp_path / "last.pt" if name == "refiner" else None, None, None
        return export.refiner_of(args) if name == "refiner" else export.export_base(args)

    with pytest.raises(ValueError, match=r"last\.pt saw other pictures than those in .*others: give their folder as --data"):
        made(others)
    assert made(pictures)


def test_files_that_are_too_large_are_refused(tmp_path, monkeypatch, models):
    monkeypatch.setattr(export, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="MB together, more than"):
        export.reuse(models / "1", tmp_path, "1", Refiner(models / "2"))


def test_the_command_makes_a_version_from_another_one_and_a_checkpoint(tmp_path, models, checkpoints, pictures):  # noqa: F811
    wallpapers = tmp_path / "photos"
    command = [sys.executable, "photos.py", wallpapers, f"{pictures}=CC0-1.0 (wallpapers)", "--side", "32"]
    subprocess.run([str(part) for part in command], cwd=HERE, check=True, capture_output=True)
    state = torch.load(checkpoints["refiner"], weights_only=True)
    state["config"]["mix"]["faces_side"] = 32
    torch.save(state, tmp_path / "refiner.pt")

    def run(*more):
        command = [sys.executable, "export.py", "--out", tmp_path / "models", *more]
        return subprocess.run([str(part) for part in command], cwd=HERE, capture_output=True, text=True)

    made = run("--base", models / "1", "--refiner", tmp_path / "refiner.pt", "--data", pictures, "--photos", wallpapers)
    assert made.returncode == 0, made.stderr
    faces, photographs = read_card(tmp_path / "models" / "toy" / "1")["refiner"]["data"]
    assert (
        faces["pictures"] == len(data.identities(pictures, "train")) and photographs["name"] == "wallpapers" and photographs["licence"] == "CC0-1.0"
    )
    sources = (wallpapers / "sources.csv").read_text().splitlines()
    (wallpapers / "sources.csv").write_text(sources[0] + "\n")
    refused = run("--base", models / "1", "--refiner", tmp_path / "refiner.pt", "--data", pictures, "--photos", wallpapers)
    assert refused.returncode == 1 and "does not list the licence of photograph" in refused.stderr
    assert "unless --refiner" in run("--base", models / "1").stderr
    torch.save({**state, "pictures": "those of another size"}, tmp_path / "refiner.pt")
    assert "refiner.pt is a refiner: use --refiner for it" in run("--checkpoint", tmp_path / "refiner.pt", "--data", pictures).stderr


def test_sources_are_counted_by_licence_over_the_training_photographs(tmp_path):
    rows = [(f"{i}.webp", "crops.tar", str(i % 30), "test" if i % 30 == 9 else "train") for i in range(60)]
    licences = [(str(i), f"/p/{i}.jpg", "CC0-1.0 (one-package)" if i < 10 else "GPL-2+, CC-BY-4.0") for i in range(30)]
    for name, header, lines in [
        ("manifest.csv", ("file", "archive", "identity", "split"), rows),
        ("sources.csv", ("identity", "path", "licence"), licences),
    ]:
        with (tmp_path / name).open("w", newline="") as f:
            csv.writer(f).writerows([header, *lines])
    listed = photos.listed(tmp_path)
    assert [(s["name"], s["licence"]) for s in listed] == [("one-package", "CC0-1.0"), ("photographs", "GPL-2+, CC-BY-4.0")]
    assert listed[0]["pictures"] <= 9 and 20 <= sum(s["pictures"] for s in listed) <= 29


def test_the_licence_of_a_folder_without_a_list_is_unknown(pictures):  # noqa: F811
    assert photos.listed(pictures) == [{"name": "photographs", "licence": "unknown", "pictures": len(data.identities(pictures, "train"))}]


def test_the_committed_vectors_are_those_of_the_refiner():
    assert_same((FOLDER / "refiner.json").read_text(), text(network()))


def test_a_version_with_other_timesteps_has_no_metrics_until_it_is_evaluated(tmp_path, models):
    one = read_card(models / "1")
    (tmp_path / "toy").mkdir()
    shutil.copytree(models / "1", tmp_path / "toy" / "1")
    (tmp_path / "toy" / "1" / "model.json").write_text(json.dumps({**one, "metrics": {"how": {}}}))
    folder = export.reuse(tmp_path / "toy" / "1", tmp_path, "2", None, sampling={"spacing": "trailing", "final_timestep": 0})
    card, readme = read_card(folder), (folder / "README.md").read_text()
    assert card["sampling"] == {"spacing": "trailing", "final_timestep": 0} != one["sampling"] and card["metrics"] == {}
    assert "Not evaluated yet." in readme and readme.count("| sampling |") == 1 and "timesteps: trailing |" in readme
    with pytest.raises(ValueError, match="final timestep"):
        export.reuse(folder, tmp_path, "3", None, sampling={"spacing": "log_snr", "final_timestep": 1000})


def test_a_version_with_other_timesteps_keeps_its_refiner(tmp_path, models):
    folder = export.reuse(models / "2", tmp_path, "3", None, sampling={"spacing": "trailing", "final_timestep": 0})
    card = read_card(folder)
    assert {"refiner.onnx", "refiner.safetensors"} <= card["files"].keys()
    for name, listed in card["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == listed["sha256"]


def test_training_starts_from_the_refiner_of_a_version(tmp_path, models, checkpoints):
    config = torch.load(checkpoints["refiner"], weights_only=True)["config"]
    training = train.Training(config, tmp_path, "cpu", "fp32", compiled=False)
    training.start_from(models / "2")
    exported = load_refiner(models / "2" / "refiner.safetensors", read_card(models / "2")["refiner"]["architecture"]).state_dict()
    assert all(torch.equal(training.ema.shadow[name], value) for name, value in exported.items())


def test_a_version_with_the_base_of_another_has_no_int8_network_until_it_is_quantised(tmp_path, models):
    base = tmp_path / "toy" / "1"
    shutil.copytree(models / "1", base)
    (base / "model.json").write_text(json.dumps({**read_card(base), "int8": {"from_timestep": 240, "within_noise": True}}))
    (base / "README.md").write_text(with_section((base / "README.md").read_text(), "Int8", "## Int8\n\nMeasured.\n\n"))
    folder = export.reuse(base, tmp_path, "2", None)
    assert "int8" not in read_card(folder)
    readme = (folder / "README.md").read_text()
    assert "## Int8" not in readme and "Measured." not in readme and "## Intended use and limitations" in readme
