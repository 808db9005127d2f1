"""Adds a refiner to a model version that export.py makes."""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import diffusion
from onnx_files import listed, write_network
from refiner import LEVEL_MAX, weights_in_millions
from register import read_card
from resuming import saved
from stages import RefinerStage
from terms import CELEBA
from train import build
from training_log import summary, took

TEMPLATE = Path(__file__).parent / "card_refiner.md"
FILES = ("refiner.onnx", "refiner.safetensors")
LEVEL = 0.05  # conditioning augmentation level of fills in service
SHARPEN = 0.3  # amount of the unsharp mask for coarse fills as sharp as their surroundings: see refiner.sharpening
NEXT_SECTION = "## Intended use and limitations"


@dataclass(frozen=True)
class Refiner:
    """The refiner of a new version.

    source: a checkpoint of train.py, or the folder of a version whose refiner is taken over. Only for a checkpoint: faces,
    the number of training faces; photographs: from photos.listed; dataset: that of the faces, from terms.dataset.
    """

    source: Path
    faces: int = 0
    photographs: tuple[dict, ...] = ()
    dataset: dict = field(default_factory=lambda: CELEBA)


def card_with_refiner(folder: Path) -> dict:
    """The model card of a version with a refiner. Raises ValueError if it has none, and as read_card does."""
    card = read_card(folder)
    if "refiner" not in card:
        raise ValueError(f"{folder} has no refiner")
    return card


def saved_refiner(checkpoint: Path) -> dict:
    """The checkpoint of a refiner. Raises ValueError if it is that of another stage, and as resuming.saved does."""
    state = saved(checkpoint)
    if state["config"].get("stage") != "refiner":
        raise ValueError(f'{checkpoint} is not a refiner: --refiner is for a checkpoint of a config with stage = "refiner"')
    return state


def saved_base(checkpoint: Path) -> dict:
    """The checkpoint of a base model. Raises ValueError if it is that of a refiner, and as resuming.saved does."""
    state = saved(checkpoint)
    if state["config"].get("stage") == "refiner":
        raise ValueError(f"{checkpoint} is a refiner: use --refiner for it, with --checkpoint or --base for the base model")
    return state


def add_refiner(part: Path, card: dict, refiner: Refiner):
    """Write the files of the refiner to the folder `part`, and its section and files to `card`.

    Raises ValueError if the source is something else, or if the exported network differs too much from the trained one.
    """
    files = [part / name for name in FILES]
    if refiner.source.is_dir():
        of = card_with_refiner(refiner.source)
        for file in files:
            shutil.copyfile(refiner.source / file.name, file)
        card["refiner"] = of["refiner"]
    else:
        card["refiner"] = section(refiner, files)
    card["files"] = {**{name: file for name, file in card["files"].items() if name not in FILES}, **listed(files)}


def section(refiner: Refiner, files: list[Path]) -> dict:
    """Write the network of a checkpoint to `files`, and return the section of model.json about it."""
    state = saved_refiner(refiner.source)
    config = state["config"]
    network, schedule = build(config)
    network.load_state_dict(state["ema"])
    difference = write_network(network.eval(), *files)
    c, train = network.config, config["train"]
    return {
        "resolution": c.resolution,
        "in_channels": c.in_channels,
        "out_channels": c.out_channels,
        "prediction": "v",
        "schedule": config["schedule"],
        "architecture": {"patch": c.patch, "channels": list(c.channels), "embedding": c.embedding},
        "level": LEVEL,
        "level_max": LEVEL_MAX,
        "sharpen": SHARPEN,
        "defaults": RefinerStage.defaults,
        "sampling": RefinerStage.sampling,
        "data": [{"name": refiner.dataset["name"], "licence": refiner.dataset["terms"], "pictures": refiner.faces}, *refiner.photographs],
        "training": {
            "steps": state["step"],
            "windows_seen": state["step"] * train["batch"],
            **summary(refiner.source.with_name("log.jsonl"), state["step"], state.get("seconds")),
            **{k: state[k] for k in ("device", "init") if state.get(k)},
            "weights": round(weights_in_millions(network) * 1e6),
            **{k: train[k] for k in ("batch", "muon_lr", "adam_lr", "ema", "decay")},
        },
        "metrics": {},
        "precision": {"weights": "fp16", "max_difference": round(difference, 6)},
    }


def with_refiner(readme: str, card: dict) -> str:
    """The README.md of a version with the section about its refiner: card_refiner.md, before the limitations."""
    if "refiner" not in card:
        return with_section(readme, "Refiner", "")
    refiner = card["refiner"]
    training = refiner["training"]
    sources = "\n".join(f"| {s['name']} | {s['licence']} | {s['pictures']:,} |" for s in refiner["data"])
    text = TEMPLATE.read_text().format(
        **refiner,
        millions=f"{training['weights'] / 1e6:.1f}",
        widths="/".join(map(str, refiner["architecture"]["channels"])),
        steps=f"{training['steps']:,}",
        batch=training["batch"],
        seen=f"{training['windows_seen']:,}",
        took=took(training),
        loss=f"; validation loss {training['validation_loss']}" if "validation_loss" in training else "",
        difference=refiner["precision"]["max_difference"],
        timesteps=diffusion.described(refiner["sampling"]["spacing"], refiner["sampling"]["final_timestep"]),
        start=start(refiner),
        sources=sources,
    )
    return with_section(readme, "Refiner", f"{text}\n")


def start(refiner: dict) -> str:
    """In words, what sampling starts from, and how the coarse fill is prepared. refiner: the section of a model card."""
    first, sharpen = refiner["sampling"].get("first_timestep"), refiner.get("sharpen", 0)
    noise = "pure noise" if first is None else f"the enlarged fill with the noise of t = {first}"
    if not sharpen:
        return f"from {noise}"
    mask = f"by {sharpen} times its difference from the mean of 3 × 3 pixels"
    return f"from {noise}. The fill is sharpened first, {mask}; by more if it is softer than the known pixels around it, by less if it is sharper"


def with_section(readme: str, title: str, text: str) -> str:
    """The README.md of a version with the section of this title, before the limitations.

    text: the section with its heading, ending with an empty line; empty: there is none.
    """
    others = re.sub(rf"## {title}\n.*?(?=## )", "", readme, flags=re.DOTALL)
    return others.replace(NEXT_SECTION, f"{text}{NEXT_SECTION}")
