"""Reads the config of a training, see configs/, and refuses one that cannot be trained."""

import tomllib
from dataclasses import fields
from pathlib import Path

import diffusion
from losses import Loss
from refiner_batches import MARGIN
from register import check_id
from stages import STAGES

KEYS = {"train": {"steps", "batch", "muon_lr", "adam_lr", "warmup", "decay", "clip", "ema", "seed"}}
"""The required keys of this section of a config. Those of other sections depend on the stage."""
OPTIONAL = {"loss": {"prediction", "weighting", "vlb_weight"}}
"""Keys that only the base model has, with their defaults in losses.Loss. All other keys are errors."""


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
    if (stage := config.setdefault("stage", "base")) not in STAGES:
        raise ValueError(f"stage must be one of {', '.join(STAGES)}, not {stage!r}")
    sections = {**KEYS, **STAGES[stage].keys}
    for part in ("id", "data", "model", "schedule", *sections):
        if part not in config:
            raise ValueError(f"{part} is missing; see configs/ for examples")
    check_id(config["id"])
    for part, keys in sections.items():
        optional = OPTIONAL.get(part, set()) if stage == "base" else set()
        if wrong := keys ^ (config[part].keys() - optional):
            raise ValueError(f"[{part}] must have exactly the keys {sorted(keys)}; missing or unknown: {sorted(wrong)}")
    check_model(config)
    check_sides(config)
    check_schedule(config)
    if stage == "base":
        check_loss(config)


def check_model(config: dict):
    """Raise ValueError if [model] lacks the resolution, or has keys that the network of the stage does not have."""
    known = {field.name for field in fields(STAGES[config["stage"]].architecture)}
    if wrong := config["model"].keys() - known:
        raise ValueError(f"[model] may have the keys {sorted(known)}; unknown: {sorted(wrong)}")
    if "resolution" not in config["model"]:
        raise ValueError("[model] resolution is missing")


def check_sides(config: dict):
    """Raise ValueError if [mix] names a size of pictures that is too small to draw the network's rows from."""
    mix, resolution = config["mix"], config["model"]["resolution"]
    for key, share, least in (
        ("zoom_from", "zoom", resolution),
        ("faces_side", None, resolution + MARGIN),
        ("photos_side", "photos", resolution + MARGIN),
    ):
        if key in mix and (share is None or mix[share]) and mix[key] < least:
            raise ValueError(f"[mix] {key} must be at least {least} for a network of {resolution} px, not {mix[key]}")


def check_schedule(config: dict):
    """Raise ValueError if [schedule] names no schedule, or parameters that it does not have."""
    if (kind := config["schedule"].get("type")) not in diffusion.SCHEDULES:
        raise ValueError(f"[schedule] type must be one of {', '.join(diffusion.SCHEDULES)}, not {kind!r}")
    try:
        diffusion.schedule_of(config)
    except TypeError as error:
        raise ValueError(f"[schedule] {error}") from error


def check_loss(config: dict):
    """Raise ValueError if [loss] of the base model has no meaning, or if it does not suit the channels of the network's output."""
    loss = Loss(**config["loss"])
    channels = config["model"].get("out_channels", 3)
    if channels != (6 if loss.vlb_weight else 3):
        raise ValueError(f"[model] out_channels is 6 where [loss] vlb_weight is above 0, and 3 elsewhere; it is {channels}")
