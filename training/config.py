"""Reads the config of a training, see configs/, and refuses one that cannot be trained."""

import math
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import diffusion
from importing.source import MAX_T
from losses import Loss
from photos import CROPS_SIDE
from refiner_batches import MARGIN
from register import check_id
from stages import STAGES, values

Kind = tuple[str, Callable[[object], bool]]  # what a value must be, in words and as a function

KEYS = {"train": {"steps", "batch", "muon_lr", "adam_lr", "warmup", "decay", "clip", "ema", "seed"}}
"""The required keys of this section of a config. Those of other sections depend on the stage."""
OPTIONAL = {"loss": {"prediction", "weighting", "vlb_weight"}}
"""Keys that only the base model has, with their defaults in losses.Loss. All other keys and sections are errors."""


def whole(least: int, most: float = math.inf) -> Kind:
    """A whole number from `least` to `most`."""
    words = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
    return f"a whole number {words}", lambda value: type(value) is int and least <= value <= most


def number(words: str, holds: Callable[[float], bool]) -> Kind:
    """A number for which `holds`; words: its range."""
    return f"a number {words}", lambda value: type(value) in (int, float) and holds(value)


SHARE = number("from 0 to 1", lambda value: 0 <= value <= 1)
ABOVE_0 = number("above 0", lambda value: value > 0)
NOT_NEGATIVE = number("of at least 0", lambda value: 0 <= value < math.inf)
BETWEEN = number("between 0 and 1", lambda value: 0 < value < 1)
TEXT = "text", lambda value: isinstance(value, str)
SWITCH = "true or false", lambda value: isinstance(value, bool)
SIDES = "a list of whole numbers of at least 1", lambda value: isinstance(value, list) and all(type(each) is int and each >= 1 for each in value)
WIDTHS = "a list of one or more whole numbers of at least 1", lambda value: SIDES[1](value) and value != []

VALUES = {
    "model": {
        **dict.fromkeys(("resolution", "in_channels", "out_channels", "patch", "blocks", "head_dim", "groups", "embedding"), whole(1)),
        **{"channels": WIDTHS, "attention": SIDES, "heads": whole(0), "dropout": SHARE, "resample": TEXT, "adaptive_norm": SWITCH},
    },
    "schedule": {"type": TEXT, "T": whole(2, MAX_T), "s": SHARE, "abar_min": BETWEEN, "beta_start": BETWEEN, "beta_end": BETWEEN},
    "mix": {
        **dict.fromkeys(("zoom", "photos", "soften"), SHARE),
        **dict.fromkeys(("zoom_from", "faces_side", "photos_side"), whole(1)),
        "photos_data": TEXT,
    },
    "loss": {"snr_cap": ABOVE_0, "weight_floor": NOT_NEGATIVE, "prediction": TEXT, "weighting": TEXT, "vlb_weight": NOT_NEGATIVE},
    "distil": {"teacher": TEXT, "steps": whole(1), "substeps": whole(1), "final": whole(0)},
    "autoguidance": {"teacher": TEXT, "guide": TEXT, "weight": ABOVE_0},
    "train": {
        **{"steps": whole(1), "batch": whole(1), "warmup": whole(0), "seed": whole(0)},
        **{"muon_lr": NOT_NEGATIVE, "adam_lr": NOT_NEGATIVE, "decay": SHARE, "ema": SHARE, "clip": ABOVE_0},
    },
}
"""What the values of each section must be. What depends on several of them is checked below."""


def load_config(path: Path) -> dict:
    """Read a TOML config as a dict. Exits with an error that names the section, and the missing, unknown or wrong key."""
    try:
        config = tomllib.loads(path.read_text())
        check(config)
    except OSError as error:
        raise SystemExit(f"the config cannot be read: {error}") from error
    except ValueError as error:
        raise SystemExit(f"{path}: {error}") from error
    return config


def check(config: dict):
    """Raise ValueError if a config lacks a key, or has an unknown or a wrong one. Sets `stage` where it is not given."""
    stage = config.setdefault("stage", "base")
    if not (isinstance(stage, str) and stage in STAGES):
        raise ValueError(f"stage must be one of {', '.join(STAGES)}, not {stage!r}")
    sections = {**KEYS, **STAGES[stage].keys}
    if unknown := config.keys() - {"id", "data", "stage", "model", "schedule", *sections}:
        raise ValueError(f"a config of the stage {stage} has no {', '.join(sorted(unknown))}; see configs/ for examples")
    for part in ("id", "data", "model", "schedule", *sections):
        if part not in config:
            raise ValueError(f"{part} is missing; see configs/ for examples")
    check_id(config["id"])
    check_values(config, ("model", "schedule", *sections))
    for part, keys in sections.items():
        optional = OPTIONAL.get(part, set()) if stage == "base" else set()
        if wrong := keys ^ (config[part].keys() - optional):
            raise ValueError(f"[{part}] must have exactly the keys {sorted(keys)}; missing or unknown: {sorted(wrong)}")
    check_model(config)
    check_sides(config)
    check_schedule(config)
    if stage == "base":
        check_loss(config)
    if stage == "student":
        check_distil(config)


def check_values(config: dict, sections: tuple[str, ...]):
    """Raise ValueError if one of these is no section, or has a value of a wrong kind or outside its range."""
    if not isinstance(config["data"], str):
        raise ValueError(f"data must be text, not {config['data']!r}")
    for part in sections:
        if not isinstance(config[part], dict):
            raise ValueError(f"{part} must be a section, [{part}], not {config[part]!r}")
        for key, value in config[part].items():
            words, holds = VALUES[part].get(key, ("", lambda _: True))  # unknown keys have errors of their own
            if not holds(value):
                raise ValueError(f"[{part}] {key} must be {words}, not {value!r}")


def check_model(config: dict):
    """Raise ValueError if [model] lacks the resolution, has keys or channels that the stage does not have, cannot halve its side, or
    has attention at a size that no level has."""
    architecture, refiner = STAGES[config["stage"]].architecture, config["stage"] == "refiner"
    known = {field.name for field in fields(architecture)}
    if wrong := config["model"].keys() - known:
        raise ValueError(f"[model] may have the keys {sorted(known)}; unknown: {sorted(wrong)}")
    if "resolution" not in config["model"]:
        raise ValueError("[model] resolution is missing")
    network = architecture(**values(config["model"]))
    for key in ("in_channels", "out_channels") if refiner else ("in_channels",):  # out_channels of the others: see check_loss and TaughtStage
        if (given := getattr(network, key)) != (needed := getattr(architecture, key)):
            raise ValueError(f"[model] {key} must be {needed} for this stage, not {given}")
    if refiner and len(network.channels) != 3:
        raise ValueError(f"[model] channels must be three numbers for a refiner, not {list(network.channels)}")
    if network.resolution % (unit := network.patch * 2 ** (len(network.channels) - 1)):
        levels = f"patch {network.patch} and {len(network.channels)} levels"
        raise ValueError(f"[model] resolution must be a multiple of {unit}, for {levels}, not {network.resolution}")
    sizes = [network.resolution // network.patch // 2**level for level in range(len(network.channels))]
    if wrong := [size for size in config["model"].get("attention", []) if size not in sizes]:
        raise ValueError(f"[model] attention must name sizes of the levels, {sizes}, not {wrong}")


def check_sides(config: dict):
    """Raise ValueError if the shares of [mix] exceed 1, or if pictures of a size are too small to draw the network's rows from."""
    mix, resolution = config["mix"], config["model"]["resolution"]
    if mix["photos"] + mix.get("zoom", 0) > 1:
        raise ValueError(f"[mix] zoom and photos must be 1 together at most, not {mix['zoom']} and {mix['photos']}")
    if mix["photos"] and "photos_side" not in mix and resolution > CROPS_SIDE:
        raise ValueError(f"[mix] photos must be 0 for a network of {resolution} px: the crops of photographs have {CROPS_SIDE} px")
    for key, share, least in (
        ("zoom_from", "zoom", resolution),
        ("faces_side", None, resolution + MARGIN),
        ("photos_side", "photos", resolution + MARGIN),
    ):
        if key in mix and (share is None or mix[share]) and mix[key] < least:
            raise ValueError(f"[mix] {key} must be at least {least} for a network of {resolution} px, not {mix[key]}")


def check_schedule(config: dict):
    """Raise ValueError if [schedule] names no schedule, parameters that it does not have, one that the service refuses (src/model/fields.ts), or
    one with too few timesteps for an exported version."""
    if (kind := config["schedule"].get("type")) not in diffusion.SCHEDULES:
        raise ValueError(f"[schedule] type must be one of {', '.join(diffusion.SCHEDULES)}, not {kind!r}")
    try:
        schedule = diffusion.schedule_of(config)
    except (TypeError, ValueError) as error:
        raise ValueError(f"[schedule] {error}") from error
    if schedule.abar[0] == 1 or schedule.abar[-1] == 0:
        raise ValueError("[schedule] abar must remain between 0 and 1 at every timestep: change T or the betas")
    stage = STAGES[config["stage"]]
    steps, sampling = config.get("distil", stage.defaults)["steps"], stage.sampling  # a student's steps are those of its training
    try:
        diffusion.timesteps(schedule, steps, sampling["spacing"], sampling["final_timestep"], sampling.get("first_timestep"))
    except ValueError as error:
        raise ValueError(f"[schedule] T is too small for the timesteps of an exported version: {error}") from error


def check_loss(config: dict):
    """Raise ValueError if [loss] of the base model has no meaning, or if it does not suit the channels of the network's output."""
    loss = Loss(**config["loss"])
    channels = config["model"].get("out_channels", 3)
    if channels != (6 if loss.vlb_weight else 3):
        raise ValueError(f"[model] out_channels is 6 where [loss] vlb_weight is above 0, and 3 elsewhere; it is {channels}")


def check_distil(config: dict):
    """Raise ValueError if the teacher of [distil] ends at a noisier timestep than the student: the student would learn to add noise."""
    distil = config["distil"]
    last = diffusion.timesteps(diffusion.schedule_of(config), distil["steps"])[-1]
    if distil["final"] > last:
        raise ValueError(f"[distil] final must be at most {last}, the last timestep of {distil['steps']} steps, not {distil['final']}")
