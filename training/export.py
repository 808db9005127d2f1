"""Export a checkpoint as a model version that the service can load.

    python export.py --checkpoint runs/celeba-inpaint-64/last.pt --out ../models        # as the next version

Writes unet.onnx (dynamic batch size), weights.safetensors, model.json and README.md to <out>/<id>/<version>/, with the
averaged (EMA) weights. Large tensors are stored as fp16 to halve the file size, and converted to fp32 when loaded. The
largest resulting difference of an output is measured and recorded in model.json.
"""

import argparse
import hashlib
import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

import diffusion
from data import load_faces
from drift import statistics
from register import next_version
from train import build

TOLERANCE = 1e-2  # maximum difference of an output caused by the fp16 weights
DEFAULTS = {"sampler": "dpmpp_2m", "steps": 12, "eta": 0}
SAMPLING = {"spacing": "log_snr", "final_timestep": 8}
HALVED_FROM = 1024  # smaller tensors (norms, biases) stay fp32: the saving would be negligible
PAUSE_SECONDS = 600  # a longer gap between two log lines means that the run was interrupted

CARD = Path(__file__).parent / "card.md"


def export(
    checkpoint: Path, out: Path, version: str, pictures: int, force: bool = False, drift: dict | None = None, sampling: dict | None = None
) -> Path:
    """Export a checkpoint as <out>/<id>/<version> and return this folder.

    pictures: number of training pictures; drift: statistics of the training pictures for the model card; sampling: that
    section of the model card (default: SAMPLING); force: replace an existing version. Raises FileExistsError if the version
    exists; ValueError if `version` is not a whole number, if the timesteps of `sampling` are undefined, or if the exported
    network differs from the trained one by more than TOLERANCE.
    """
    if not re.fullmatch("[0-9]+", version):
        raise ValueError(f"--version must be a whole number, not {version!r}")
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    config = state["config"]
    folder = out / config["id"] / version
    if folder.exists() and not force:
        raise FileExistsError(f"{folder} exists: choose another --version, or --force to replace it")
    sampling = sampling or SAMPLING
    model, schedule = build(config)
    diffusion.timesteps(schedule, DEFAULTS["steps"], sampling["spacing"], sampling["final_timestep"])  # raises ValueError
    model.load_state_dict(state["ema"])
    model.eval()

    part, replaced = folder.with_name(f".{version}.part"), folder.with_name(f".{version}.old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        onnx_file, weights_file = part / "unet.onnx", part / "weights.safetensors"
        write_onnx(model, onnx_file)
        save_file({k: halve(v) for k, v in model.state_dict().items()}, weights_file)
        weights_file.chmod(0o644)  # safetensors creates the file readable by its owner only
        difference = max_difference(model, onnx_file)
        if not difference <= TOLERANCE:
            raise ValueError(f"outputs of {onnx_file.name} differ from those of the trained network by {difference}, more than {TOLERANCE}")

        run = summary(checkpoint.with_name("log.jsonl"), state["step"])
        card = model_card(state, run, version, pictures, difference, sampling, [onnx_file, weights_file])
        if drift:
            card["data"]["statistics"] = drift
        (part / "model.json").write_text(json.dumps(card, indent=2) + "\n")
        (part / "README.md").write_text(readme(card))
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            folder.rename(replaced)
        part.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def summary(log: Path, step: int) -> dict:
    """Hours of training, without interruptions, and the last validation loss up to `step`, from a run's log.jsonl; {} if it is missing."""
    if not log.exists():
        return {}
    lines = [line for line in map(json.loads, log.read_text().splitlines()) if line["step"] <= step]
    seconds = sum(gap for a, b in zip(lines, lines[1:], strict=False) if 0 < (gap := b["time"] - a["time"]) < PAUSE_SECONDS)
    validations = [line["validation"] for line in lines if "validation" in line]
    return {"hours": round(seconds / 3600, 1), **({"validation_loss": validations[-1]} if validations else {})}


def halve(x: torch.Tensor) -> torch.Tensor:
    """x as fp16 if it has at least HALVED_FROM values, else unchanged."""
    return x.half() if x.numel() >= HALVED_FROM else x


def write_onnx(model: torch.nn.Module, path: Path):
    """Write the network as ONNX: inputs x [N, C, R, R] and t [N], output prediction [N, 3, R, R], all float32, dynamic N.

    Large weights are stored as fp16, see store_as_fp16.
    """
    c = model.config
    x, t = torch.randn(3, c.in_channels, c.resolution, c.resolution), torch.tensor([3.0, 50.0, 900.0])
    n = torch.export.Dim("N", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (x, t),
            input_names=["x", "t"],
            output_names=["prediction"],
            dynamic_shapes={"x": {0: n}, "t": {0: n}},
            opset_version=20,
            dynamo=True,
            verbose=False,
        )
        program.optimize()
    proto = program.model_proto
    store_as_fp16(proto.graph)
    for node in proto.graph.node:
        del node.metadata_props[:]  # stack traces, which contain local paths
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def store_as_fp16(graph: onnx.GraphProto):
    """Convert large initializers to fp16, each followed by a Cast to fp32. Runtimes fold the Cast when they load the model."""
    casts = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < HALVED_FROM:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.fp16"))
        casts.append(helper.make_node("Cast", [f"{name}.fp16"], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    del graph.value_info[:]  # it lists the initializers as fp32


@torch.no_grad()
def max_difference(model: torch.nn.Module, onnx_file: Path) -> float:
    """Largest absolute difference between the outputs of the trained network and of the ONNX file, over batches of 1, 2 and 5 rows."""
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    c, generator, worst = model.config, torch.Generator().manual_seed(0), 0.0
    for n in (1, 2, 5):
        x = torch.randn(n, c.in_channels, c.resolution, c.resolution, generator=generator)
        t = torch.randint(0, 1000, (n,), generator=generator).float()
        (found,) = session.run(None, {"x": x.numpy(), "t": t.numpy()})
        worst = max(worst, float(np.abs(found - model(x, t).numpy()).max()))
    return worst


def model_card(state: dict, run: dict, version: str, pictures: int, difference: float, sampling: dict, files: list[Path]) -> dict:
    """The contents of model.json. state: the checkpoint; run: from `summary`; difference: from `max_difference`; sampling: see `export`."""
    config = state["config"]
    train = config["train"]
    network, _ = build(config)
    c = network.config
    return {
        "id": config["id"],
        "version": version,
        "description": f"Fills holes in aligned faces at {c.resolution} px: a conditional DDPM with an attention U-Net.",
        "licence": "Weights: non-commercial research only, after the terms of CelebA. Code: Apache-2.0.",
        "conditioning": "inpaint",
        "resolution": c.resolution,
        "in_channels": c.in_channels,
        "out_channels": c.out_channels,
        "prediction": "v",
        "schedule": config["schedule"],
        "architecture": {k: v for k, v in c.to_dict().items() if k in ("patch", "channels", "blocks", "attention", "head_dim", "groups")},
        "defaults": DEFAULTS,
        "sampling": sampling,
        "data": {
            "name": "CelebA, aligned faces (Liu et al., ICCV 2015)",
            "terms": "Non-commercial research only; the pictures may not be passed on.",
            "pictures": pictures,
        },
        "training": {
            "steps": state["step"],
            "pictures_seen": state["step"] * train["batch"],
            **run,
            "weights": sum(p.numel() for p in network.parameters()),
            **{k: train[k] for k in ("batch", "muon_lr", "adam_lr", "ema", "decay")},
        },
        "metrics": {},
        "precision": {"weights": "fp16", "max_difference": round(difference, 6)},
        "files": {f.name: {"sha256": hashlib.sha256(f.read_bytes()).hexdigest(), "bytes": f.stat().st_size} for f in files},
    }


def readme(card: dict) -> str:
    """The README.md of a version: card.md with the values of its model card."""
    training, c = card["training"], card["architecture"]
    took = f", {training['hours']} hours" if "hours" in training else ""
    loss = f"; validation loss {training['validation_loss']}" if "validation_loss" in training else ""
    return CARD.read_text().format(
        **card,
        millions=f"{training['weights'] / 1e6:.1f}",
        steps=f"{training['steps']:,}",
        seen=f"{training['pictures_seen']:,}",
        widths="/".join(map(str, c["channels"])),
        difference=card["precision"]["max_difference"],
        pictures=f"{card['data']['pictures']:,}",
        batch=training["batch"],
        timesteps=diffusion.described(*card["sampling"].values()),
        took=took,
        loss=loss,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a .pt file written by train.py")
    parser.add_argument("--out", type=Path, default=Path("../models"), help="folder that contains the models")
    parser.add_argument("--version", help="a whole number (default: the next free one)")
    parser.add_argument("--data", type=Path, help="the training pictures (default: from the config)")
    parser.add_argument("--spacing", choices=diffusion.SPACINGS, default=SAMPLING["spacing"], help="how samplers spread their timesteps")
    parser.add_argument("--final-timestep", type=int, default=SAMPLING["final_timestep"], help="where linspace and log_snr end")
    parser.add_argument("--force", action="store_true", help="replace an existing version")
    args = parser.parse_args()
    config = torch.load(args.checkpoint, map_location="cpu", weights_only=True, mmap=True)["config"]
    try:
        faces = load_faces(args.data or Path(__file__).parent / config["data"], config["model"]["resolution"], "train")
        version = args.version or next_version(args.out, config["id"])
        sampling = {"spacing": args.spacing, "final_timestep": args.final_timestep}
        folder = export(args.checkpoint, args.out, version, len(faces), args.force, statistics(faces), sampling)
    except (FileExistsError, FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    card = json.loads((folder / "model.json").read_text())
    sizes = ", ".join(f"{name} {file['bytes'] / 1e6:.1f} MB" for name, file in card["files"].items())
    print(f"{folder}: {sizes}; largest difference from the trained network: {card['precision']['max_difference']}")


if __name__ == "__main__":
    main()
