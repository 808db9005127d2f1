"""Export a checkpoint as a model version that the service can load.

    python export.py --checkpoint runs/celeba-inpaint-64/last.pt --out ../models/.candidates --version 7
    python export.py --checkpoint runs/celeba-inpaint-64/last.pt --refiner runs/celeba-inpaint-64-refiner/last.pt
    python export.py --base ../models/celeba-inpaint-64/2 --refiner runs/celeba-inpaint-64-refiner/last.pt

Writes unet.onnx (dynamic batch size), weights.safetensors, model.json and README.md to <out>/<id>/<version>/, with the
averaged (EMA) weights. With --refiner, refiner.onnx and refiner.safetensors too. --base makes a new version with the base
model of another one. Large tensors are stored as fp16 to halve the file size, and converted to fp32 when loaded. The
largest resulting difference of an output is measured and recorded in model.json.
"""

import argparse
import json
import re
import shutil
from pathlib import Path

import numpy as np

import diffusion
import photos
import terms
from data import digest, load_faces
from drift import statistics
from export_refiner import Refiner, add_refiner, card_with_refiner, saved_base, saved_refiner, with_refiner, with_section
from onnx_files import listed, write_network
from register import new_version, next_version, read_card
from stages import BaseStage
from train import stage_of
from training_log import summary, took
from unet import UNetConfig

MAX_BYTES = 64_000_000  # all files of a version
NOT_EVALUATED = "<!-- metrics -->\nNot evaluated yet.\n<!-- /metrics -->"
HERE = Path(__file__).parent
CARD = HERE / "card.md"


def export(
    checkpoint: Path,
    out: Path,
    version: str,
    pictures: int,
    force: bool = False,
    drift: dict | None = None,
    sampling: dict | None = None,
    photographs: list[dict] | None = None,
    refiner: Refiner | None = None,
    dataset: dict = terms.CELEBA,
) -> Path:
    """Export a checkpoint as <out>/<id>/<version> and return this folder.

    pictures: number of training pictures; drift: statistics of the training pictures for the model card; sampling: that
    section of the model card (default: that of the stage); photographs: those that it was trained on too, from photos.listed;
    dataset: whose the training pictures are, from terms.dataset; force: replace an existing version.

    Raises FileExistsError if the version exists; ValueError if `checkpoint` is none of train.py, if `version` is not a whole number, if
    the timesteps of `sampling` are undefined, if an exported network differs from the trained one by more than onnx_files.TOLERANCE, or
    if the files are larger than MAX_BYTES.
    """
    state = saved_base(checkpoint)
    config = state["config"]
    stage = stage_of(config)
    sampling, model = {**stage.sampling, **(sampling or {})}, stage.network()
    diffusion.timesteps(stage.schedule, stage.defaults["steps"], sampling["spacing"], sampling["final_timestep"])  # raises ValueError
    with new_version(out, config["id"], version, force) as part:
        model.load_state_dict(state["ema"])
        files = [part / "unet.onnx", part / "weights.safetensors"]
        difference = write_network(model.eval(), *files)
        run = summary(checkpoint.with_name("log.jsonl"), state["step"], state.get("seconds"))
        card = model_card(stage, state, run, version, {**dataset, "pictures": pictures}, difference, sampling, files)
        if drift:
            card["data"]["statistics"] = drift
        if photographs:
            card["data"]["photographs"] = photographs
        finish(part, card, readme(card), refiner)
    return out / config["id"] / version


def reuse(base: Path, out: Path, version: str, refiner: Refiner | None, force: bool = False, sampling: dict | None = None) -> Path:
    """Make a new version with the base model of the version in the folder `base`, and a refiner or other timesteps.

    Without `refiner`, the version keeps the one of `base`, if it has one.

    sampling: that section of the model card. If it is given, the metrics of `base` are left out: they were measured with
    other timesteps. Raises as `export` does.
    """
    card = {**read_card(base), "version": version}
    card.pop("int8", None)  # quantise.py makes and measures another
    text = with_section((base / "README.md").read_text(), "Int8", "")
    if sampling:
        sampling = {**BaseStage.sampling, **card.get("sampling", {}), **sampling}
        diffusion.timesteps(
            diffusion.schedule_of(card), card["defaults"]["steps"], sampling["spacing"], sampling["final_timestep"]
        )  # raises ValueError
        card |= {"sampling": sampling, "metrics": {}}
        text = re.sub("<!-- metrics -->.*<!-- /metrics -->", NOT_EVALUATED, text, flags=re.DOTALL)
        text = re.sub(r"\| sampling \|.*\n", "", text).replace("| training |", f"{sampling_row(card)}\n| training |", 1)
    with new_version(out, card["id"], version, force) as part:
        files = [part / name for name in ("unet.onnx", "weights.safetensors")]
        for file in files:
            shutil.copyfile(base / file.name, file)
        card["files"] = listed(files)
        _, text = text.split("\n", 1)
        if refiner is None and "refiner" in card:
            refiner = Refiner(base)
        finish(part, card, f"# {card['id']}, version {version}\n{text}", refiner)
    return out / card["id"] / version


def finish(part: Path, card: dict, text: str, refiner: Refiner | None):
    """Add the refiner, if any, and write README.md (from `text`) and model.json. Raises ValueError for more than MAX_BYTES in all."""
    if refiner:
        add_refiner(part, card, refiner)
    (part / "README.md").write_text(with_refiner(text, card))
    (part / "model.json").write_text(json.dumps(card, indent=2) + "\n")
    if (size := sum(f.stat().st_size for f in part.iterdir())) > MAX_BYTES:
        raise ValueError(f"the files have {size / 1e6:.0f} MB together, more than {MAX_BYTES / 1e6:.0f} MB")


def model_card(stage, state: dict, run: dict, version: str, data: dict, difference: float, sampling: dict, files: list[Path]) -> dict:
    """The contents of model.json.

    stage: of the checkpoint's config; state: the checkpoint; run: from `summary`; data: the section about the training pictures;
    difference: from `max_difference`; sampling: see `export`.
    """
    config = state["config"]
    train, init = config["train"], state.get("init") or stage.init
    network = stage.network()
    c = network.config
    what = "aligned faces" if terms.is_celeba(data) else "pictures"
    return {
        "id": config["id"],
        "version": version,
        "description": f"Fills holes in {what} at {c.resolution} px: a conditional DDPM with an attention U-Net{stage.remark}.",
        "licence": terms.licence(data, init),
        "conditioning": "inpaint",
        "resolution": c.resolution,
        "in_channels": c.in_channels,
        "out_channels": c.out_channels,
        "prediction": stage.objective.prediction,
        "schedule": config["schedule"],
        "architecture": architecture(c),
        "defaults": stage.defaults,
        "sampling": sampling if c.out_channels == 3 else {**sampling, "variance": "learned"},
        "data": data,
        "training": {
            "steps": state["step"],
            "pictures_seen": state["step"] * train["batch"],
            **run,
            **({"device": state["device"]} if state.get("device") else {}),
            **({"init": init} if init else {}),
            "weights": sum(p.numel() for p in network.parameters()),
            **{k: train[k] for k in ("batch", "muon_lr", "adam_lr", "ema", "decay")},
        },
        "metrics": {},
        "precision": {"weights": "fp16", "max_difference": round(difference, 6)},
        "files": listed(files),
    }


def readme(card: dict) -> str:
    """The README.md of a version: card.md with the values of its model card."""
    training, c = card["training"], card["architecture"]
    kind = "distillation" if "distilled from" in card["description"] else "validation"  # a student's is not comparable with others
    loss = f"; {kind} loss {training['validation_loss']}" if "validation_loss" in training else ""
    photographs = card["data"].get("photographs", [])
    return CARD.read_text().format(
        **card,
        millions=f"{training['weights'] / 1e6:.1f}",
        steps=f"{training['steps']:,}",
        seen=f"{training['pictures_seen']:,}",
        widths="/".join(map(str, c["channels"])),
        options=options(c),
        difference=card["precision"]["max_difference"],
        pictures=f"{card['data']['pictures']:,}",
        of="faces of CelebA" if terms.is_celeba(card["data"]) else f"pictures of {card['data']['name']}",
        batch=training["batch"],
        method=method(card),
        sampling_row=sampling_row(card),
        init=f" It began with the weights of {training['init']}." if "init" in training else "",
        took=took(training),
        loss=loss,
        photographs=f" and {sum(p['pictures'] for p in photographs)} photographs" if photographs else "",
        limitations=terms.limitations(card),
        terms=terms.section(card),
    )


def architecture(config: UNetConfig) -> dict:
    """The dimensions of the U-Net, and its options where they are not the usual ones."""
    values, usual = config.to_dict(), UNetConfig().to_dict()
    dimensions = {k: values[k] for k in ("patch", "channels", "blocks", "attention", "head_dim", "groups")}
    return dimensions | {k: values[k] for k in ("heads", "resample", "adaptive_norm") if values[k] != usual[k]}


def options(architecture: dict) -> str:
    """The options of the U-Net, for README.md."""
    norm = "adaptive group normalisation" if architecture.get("adaptive_norm", True) else "group normalisation"
    return f"{norm}, self-attention" + (", BigGAN resampling" if architecture.get("resample") == "biggan" else "")


def method(card: dict) -> str:
    """What the network predicts and its schedule, for README.md."""
    variances = ", learned variances" if card["out_channels"] == 6 else ""
    return f"DDPM, {card['prediction']}-prediction{variances}, {card['schedule']['type']} schedule, T = {card['schedule']['T']}"


def sampling_row(card: dict) -> str:
    """The row of README.md about sampling."""
    defaults, timesteps = card["defaults"], diffusion.described(card["sampling"]["spacing"], card["sampling"]["final_timestep"])
    return f"| sampling | {defaults['sampler']} in {defaults['steps']} steps by default; timesteps: {timesteps} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    base = parser.add_mutually_exclusive_group(required=True)
    base.add_argument("--checkpoint", type=Path, help="the base model: a .pt file written by train.py")
    base.add_argument("--base", type=Path, help="the base model: the folder of a version, whose weights are used again")
    parser.add_argument("--refiner", type=Path, help="the refiner: a .pt file, or the folder of a version that has one")
    parser.add_argument("--out", type=Path, default=Path("../models"), help="folder that contains the models")
    parser.add_argument("--version", help="a whole number (default: the next free one)")
    parser.add_argument("--data", type=Path, help="the training pictures (default: from the config)")
    parser.add_argument("--terms", help="terms of the training pictures, for the card (default: those of CelebA if --data is called so)")
    parser.add_argument("--photos", type=Path, help="the training photographs (default: from the config)")
    parser.add_argument("--spacing", choices=diffusion.SPACINGS, help="how samplers spread their timesteps (default: as the stage or --base has it)")
    parser.add_argument("--final-timestep", type=int, help="where linspace and log_snr end (default: as the stage or --base has it)")
    parser.add_argument("--force", action="store_true", help="replace an existing version")
    args = parser.parse_args()
    if args.base and not (args.refiner or sampling_given(args)):
        parser.error("--base makes the same version again unless --refiner, --spacing or --final-timestep changes it")
    try:
        folder = export_base(args) if args.checkpoint else reuse_base(args)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    card = json.loads((folder / "model.json").read_text())
    sizes = ", ".join(f"{name} {file['bytes'] / 1e6:.1f} MB" for name, file in card["files"].items())
    differences = [part["precision"]["max_difference"] for part in (card, card.get("refiner")) if part]
    print(f"{folder}: {sizes}; largest difference from the trained network: {' and '.join(map(str, differences))}")


def export_base(args: argparse.Namespace) -> Path:
    state = saved_base(args.checkpoint)
    config = state["config"]
    data, faces = trained_on(args.checkpoint, state, args.data, config["model"]["resolution"])
    version = args.version or next_version(args.out, config["id"])
    photographs = photographs_of(config, args.photos)
    sampling = sampling_given(args)
    dataset = terms.dataset(data, args.terms)
    return export(args.checkpoint, args.out, version, len(faces), args.force, statistics(faces), sampling, photographs, refiner_of(args), dataset)


def reuse_base(args: argparse.Namespace) -> Path:
    version = args.version or next_version(args.out, read_card(args.base)["id"])
    return reuse(args.base, args.out, version, refiner_of(args), args.force, sampling_given(args))


def sampling_given(args: argparse.Namespace) -> dict | None:
    """The section of the card from --spacing and --final-timestep; None if neither is given."""
    given = {"spacing": args.spacing, "final_timestep": args.final_timestep}
    return {key: value for key, value in given.items() if value is not None} or None


def refiner_of(args: argparse.Namespace) -> Refiner | None:
    """The refiner that --refiner names, with what it was trained on. Raises ValueError or OSError if it is none."""
    if args.refiner is None:
        return None
    if args.refiner.is_dir():
        card_with_refiner(args.refiner)
        return Refiner(args.refiner)
    state = saved_refiner(args.refiner)
    config = state["config"]
    data, faces = trained_on(args.refiner, state, args.data, config["mix"]["faces_side"])
    return Refiner(args.refiner, len(faces), tuple(photographs_of(config, args.photos)), terms.dataset(data, args.terms))


def photographs_of(config: dict, folder: Path | None) -> list[dict]:
    """The sources of the photographs in the training mix of a config; [] if it has none."""
    mix = config.get("mix", {})
    return photos.listed(folder or HERE / mix["photos_data"]) if mix.get("photos") else []


def trained_on(checkpoint: Path, state: dict, given: Path | None, side: int) -> tuple[Path, np.ndarray]:
    """The folder of the training pictures of a checkpoint and the pictures at `side` px. given: that of --data, or None.

    Raises ValueError if they are not those of the training. The oldest checkpoints do not say which these were.
    """
    data = given or HERE / state["config"]["data"]
    faces = load_faces(data, side, "train")
    if state.get("pictures") and digest(faces) != state["pictures"]:
        raise ValueError(f"{checkpoint} saw other pictures than those in {data}: give their folder as --data, or a version as --base or --refiner")
    return data, faces


if __name__ == "__main__":
    main()
