import json
import sys

import numpy as np
import onnx
import pytest
import torch
from test_training import CONFIG, pictures  # noqa: F401

import export
import quantise
import train
from register import read_card


def test_int8_begins_where_all_later_errors_are_small():
    errors = [(0, 0.3), (250, 0.05), (500, 0.2), (750, 0.08), (999, 0.01)]
    assert quantise.from_timestep(errors, 1000) == 750
    assert quantise.from_timestep([(999, 0.081)], 1000) == 1000


def test_rows_go_to_the_network_of_their_timestep():
    network = quantise.mixed(lambda x, t: torch.full_like(x, -1), lambda x, t: x * t[:, None, None, None], 250)
    x = torch.arange(1.0, 4)[:, None, None, None].expand(3, 3, 2, 2)
    assert network(x, torch.tensor([250, 249, 999]))[:, 0, 0, 0].tolist() == [250, -1, 3 * 999]
    variances = quantise.mixed(lambda x, t: x.repeat(1, 2, 1, 1), lambda x, t: -x.repeat(1, 2, 1, 1), 250)
    assert variances(x, torch.tensor([250, 249, 999]))[:, 5, 0, 0].tolist() == [-1, 2, -3]


@pytest.mark.parametrize(("other", "int8", "expected"), [(0.024, 0.024, True), (0.022, 0.024, True), (0.024, 0.0241, False), (0.023, 0.02, True)])
def test_int8_may_be_worse_by_what_other_seeds_change(other, int8, expected):
    box = {"fp32": {"frechet": 0.023}, "fp32_other_seeds": {"frechet": other}, "int8": {"frechet": int8}}
    assert quantise.within_noise(box) is expected


def test_an_unconditional_model_is_refused_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(quantise, "opened_card", lambda folder: {"conditioning": "none", "resolution": 16})
    monkeypatch.setattr(sys, "argv", ["quantise.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="is an unconditional model"):
        quantise.main()


def interrupted(monkeypatch):
    """quantise.py with other layers, which ends when it writes the card."""
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(quantise, "tolerant_layers", lambda _fp32, convolutions, *_: convolutions[:1])
        broken.setattr(quantise, "write_text", lambda *_: 1 / 0)
        quantise.main()


def test_a_version_gets_an_int8_network_and_its_figures(tmp_path, pictures, monkeypatch):  # noqa: F811
    (tmp_path / "toy.toml").write_text(CONFIG.format(steps=2))
    config = train.load_config(tmp_path / "toy.toml")
    torch.manual_seed(0)
    model, _ = train.build(config)
    weights = {k: torch.randn_like(v) * 0.05 if not v.any() else v for k, v in model.state_dict().items()}  # the last layers begin at 0
    torch.save({"step": 2, "config": config, "ema": weights}, tmp_path / "last.pt")
    folder = export.export(tmp_path / "last.pt", tmp_path / "models", "1", pictures=78)
    monkeypatch.setattr(quantise, "descriptors", lambda faces: faces[:, 0, :2].reshape(len(faces), -1).astype(float))
    monkeypatch.setattr(sys, "argv", ["quantise.py", str(folder), "--data", str(pictures), "--faces", "2"])
    monkeypatch.setattr(quantise, "CALIBRATION", 8)
    interrupted(monkeypatch)
    assert not (folder / quantise.FILE).exists() and "int8" not in read_card(folder)  # the card does not list it
    quantise.main()
    quantise.add_to_card(folder, folder / quantise.FILE, read_card(folder)["int8"])  # again: nothing is written twice
    card = read_card(folder)  # verifies the digests
    interrupted(monkeypatch)
    assert read_card(folder) == card
    assert quantise.FILE in card["files"]
    section = card["int8"]
    assert 0 < section["layers"] <= section["convolutions"] - 2
    assert set(section["metrics"]["box"]) == {"fp32", "fp32_other_seeds", "int8"}
    sections = [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("## ")]
    assert sections.count("## Int8") == 1 and sections.index("## Int8") == sections.index("## Intended use and limitations") - 1

    graph = onnx.load(folder / quantise.FILE).graph
    quantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert sum(node.input[1] in quantised for node in convolutions) == section["layers"]
    assert not any(node.input[1] in quantised for node in (convolutions[0], convolutions[-1]))
    rows = quantise.noisy_rows(card, np.zeros((1, 16, 16, 3), np.uint8), 3, 2, 5)[2:]
    [found], [wanted] = (quantise.predictions(folder / name, rows, 1) for name in (quantise.FILE, "unet.onnx"))
    assert 0 < quantise.relative_error(found, wanted) < 0.3
    assert json.loads((folder / "model.json").read_text())["metrics"] == {}
