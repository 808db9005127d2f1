"""Reads pipeline folders of diffusers whose network is an unconditional UNet2DModel in pixel space."""

import json
import re
from pathlib import Path

import torch

from importing import schedules
from importing.source import Source, UnsupportedModel

PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}
VARIANCES = {
    "fixed_small": "fixed_small",
    "fixed_small_log": "fixed_small",
    "fixed_large": "fixed_large",
    "fixed_large_log": "fixed_large",
    "learned_range": "learned",
}
# Those that sample the forward process of DDPM. Others (flow matching, score models) use a network in another way.
SCHEDULERS = (
    ("DDPMScheduler", "DDPMParallelScheduler", "DDIMScheduler", "DDIMParallelScheduler", "PNDMScheduler", "LMSDiscreteScheduler")
    + ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler")
    + ("KDPM2AncestralDiscreteScheduler", "DPMSolverSinglestepScheduler", "DPMSolverMultistepScheduler", "DPMSolverSDEScheduler")
    + ("DEISMultistepScheduler", "UniPCMultistepScheduler", "SASolverScheduler")
)
PARTS = {"scheduler", "unet"}
MAX_ROWS = 63  # UNet2DModel treats larger batches differently, and the exporter can describe one way only


class Unet2D(torch.nn.Module):
    """A UNet2DModel with the inputs and the output that the service expects."""

    def __init__(self, unet: torch.nn.Module):
        super().__init__()
        self.unet = unet

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.unet(x, t, return_dict=False)[0]


def read_folder(folder: Path) -> Source:
    """The network of a pipeline folder. Raises UnsupportedModel, and OSError when a file cannot be read."""
    parts = {name for name, part in _json(folder / "model_index.json", {}).items() if isinstance(part, list) and part[0]}
    if others := sorted(parts - PARTS):
        names = ", ".join(others)
        raise UnsupportedModel(f"{folder.name} also has {names}: only models that work on pixels, without text or latents, can be imported.")
    unet_folder, scheduler_folder = (folder / name if (folder / name).is_dir() else folder for name in ("unet", "scheduler"))
    config = _json(unet_folder / "config.json")
    _assert_unconditional(config, folder.name)
    scheduler = _json(scheduler_folder / "scheduler_config.json")
    resolution = _resolution(config, folder.name)
    out_channels = config.get("out_channels", 3)
    variance = _variance(scheduler, out_channels)
    return Source(
        network=Unet2D(_load(unet_folder)).eval(),
        resolution=resolution,
        out_channels=out_channels,
        prediction=_choice(scheduler, "prediction_type", "epsilon", PREDICTIONS),
        schedule=_schedule(scheduler),
        variance=variance,
        clip=_clips(scheduler),
        spacing=_spacing(scheduler),
        kind=f"diffusers pipeline {folder.name}",
        licence=_licence(folder),
        max_rows=MAX_ROWS,
    )


def _assert_unconditional(config: dict, name: str):
    kind = config.get("_class_name", "UNet2DModel")
    if kind == "UNet2DConditionModel":
        raise UnsupportedModel(f"{name} is conditioned on text or another embedding (UNet2DConditionModel): it cannot be imported.")
    if kind not in ("UNet2DModel", "UNetUnconditionalModel"):
        raise UnsupportedModel(f"{name} has a {kind}: only a UNet2DModel can be imported.")
    if config.get("class_embed_type") or config.get("num_class_embeds"):
        raise UnsupportedModel(f"{name} is class-conditional: only unconditional models fill holes with RePaint.")
    if config.get("time_embedding_type", "positional") != "positional":
        raise UnsupportedModel(f"{name} is conditioned on noise levels rather than timesteps (a score model): it cannot be imported.")
    if config.get("in_channels", 3) != 3 or config.get("out_channels", 3) not in (3, 6):
        channels = f"{config.get('in_channels')} input and {config.get('out_channels')} output channels"
        raise UnsupportedModel(f"{name} has {channels}: only models of RGB pixels can be imported, with 3 inputs and 3 or 6 outputs.")


def _resolution(config: dict, name: str) -> int:
    size = config.get("sample_size")
    sides = size if isinstance(size, list) and size else [size, size]
    if not all(isinstance(side, int) for side in sides) or sides[0] != sides[-1]:
        raise UnsupportedModel(f"{name} has sample_size {size}: only models of square pictures can be imported.")
    return sides[0]


def _load(folder: Path) -> torch.nn.Module:
    """The UNet2DModel in a folder. diffusers reads .bin files with weights_only=True."""
    from diffusers import UNet2DModel  # slow to import, and no other importer needs it

    try:
        unet, info = UNet2DModel.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False, output_loading_info=True)
    except (OSError, RuntimeError, TypeError, ValueError, LookupError, ArithmeticError) as error:  # of whatever the config says
        what = " ".join(line.strip() for line in str(error).splitlines()[:3])
        raise UnsupportedModel(f"the network in {folder.name} cannot be read, or does not fit its config.json: {what}") from error
    wrong = [*info["missing_keys"], *info["unexpected_keys"], *info["mismatched_keys"]]
    if wrong:
        raise UnsupportedModel(f"the weights in {folder.name} do not belong to its config.json: {wrong[0]} and {len(wrong) - 1} others differ.")
    return unet.float()


def _schedule(scheduler: dict) -> dict:
    from diffusers import DDPMScheduler

    named = scheduler.get("_class_name", "DDPMScheduler")
    if named not in SCHEDULERS:
        raise UnsupportedModel(f"its scheduler is a {named}: only models of DDPM's forward process can be imported.")
    T = scheduler.get("num_train_timesteps", 1000)
    kind = scheduler.get("beta_schedule", "linear")
    if scheduler.get("trained_betas") or scheduler.get("rescale_betas_zero_snr"):
        raise UnsupportedModel("its scheduler has trained_betas or rescale_betas_zero_snr: only linear and cosine schedules can be imported.")
    if kind == "linear":
        section = schedules.linear(T, scheduler.get("beta_start", 1e-4), scheduler.get("beta_end", 0.02))
    elif kind == "squaredcos_cap_v2":
        section = schedules.cosine(T)
    else:
        raise UnsupportedModel(f"its beta_schedule is {kind}: only linear and squaredcos_cap_v2 can be imported.")
    betas = {key: scheduler[key] for key in ("beta_start", "beta_end") if key in scheduler}
    schedules.assert_agrees(section, DDPMScheduler(T, beta_schedule=kind, **betas).alphas_cumprod.double().numpy())
    return section


def _variance(scheduler: dict, out_channels: int) -> str:
    variance = _choice(scheduler, "variance_type", "fixed_small", VARIANCES)
    if (variance == "learned") != (out_channels == 6):
        named = scheduler.get("variance_type")
        raise UnsupportedModel(f"its scheduler has variance_type {named}, which does not fit {out_channels} output channels.")
    return variance


def _clips(scheduler: dict) -> bool:
    if scheduler.get("thresholding"):
        raise UnsupportedModel("its scheduler uses dynamic thresholding, which the service does not have.")
    clips = scheduler.get("clip_sample", True)
    if clips and scheduler.get("clip_sample_range", 1.0) != 1:
        raise UnsupportedModel("its scheduler clips to another range than -1..1, which the service does not do.")
    return bool(clips)


def _spacing(scheduler: dict) -> str:
    """As configured, except for leading, diffusers' default: with few steps it begins well below pure noise."""
    spacing = scheduler.get("timestep_spacing")
    return spacing if spacing in ("linspace", "trailing") else "linspace"


def _choice(scheduler: dict, key: str, default: str, names: dict[str, str]) -> str:
    value = scheduler.get(key) or default
    if not isinstance(value, str) or value not in names:
        raise UnsupportedModel(f"its scheduler has {key} {value}: only {', '.join(names)} can be imported.")
    return names[value]


def _licence(folder: Path) -> str | None:
    """The licence in the front matter of the folder's README.md, as the hub has it."""
    file = folder / "README.md"
    found = re.match(r"---\n(?:.*\n)*?licen[sc]e: *(\S.*)\n(?:.*\n)*?---", file.read_text()) if file.exists() else None
    return found[1].strip() if found else None


def _json(file: Path, absent: dict | None = None) -> dict:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if absent is not None:
            return absent
        raise UnsupportedModel(f"there is no {file.name} in {file.parent}: this is not a pipeline folder of diffusers.") from error
    except ValueError as error:  # no JSON, or no UTF-8
        raise UnsupportedModel(f"{file} is not valid JSON ({error}).") from error
    if not isinstance(value, dict):
        raise UnsupportedModel(f"{file} is not a JSON object.")
    return value
