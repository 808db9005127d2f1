"""Reads checkpoints of OpenAI's guided-diffusion (and improved-diffusion) with the flags that its scripts are given."""

import argparse
import zipfile
from pathlib import Path

import torch

from importing import schedules
from importing.guided_unet import GuidedConfig, GuidedUNet
from importing.source import Source, UnsupportedModel

MULTIPLIERS = {32: "1,2,2,2", 64: "1,2,3,4", 128: "1,1,2,3,4", 256: "1,1,2,2,4,4", 512: "0.5,1,1,2,2,4,4"}
# Flags of the original scripts that change nothing of an imported network: it is not trained, and sampled by the service.
IGNORED = ("dropout", "use_checkpoint", "use_fp16", "timestep_respacing", "use_kl", "rescale_learned_sigmas", "batch_size", "num_samples", "use_ddim")


def parse_flags(flags: list[str]) -> argparse.Namespace:
    """The flags of guided-diffusion's scripts, with their defaults. Raises UnsupportedModel for others."""
    parser = argparse.ArgumentParser(prog="--flags", add_help=False, exit_on_error=False, allow_abbrev=False)
    for name, default in {"image_size": 64, "num_channels": 128, "num_res_blocks": 2, "num_heads": 4, "diffusion_steps": 1000}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in ("num_heads_upsample", "num_head_channels"):
        parser.add_argument(f"--{name}", type=int, default=-1)
    parser.add_argument("--attention_resolutions", default="16,8")
    parser.add_argument("--channel_mult", default="")
    parser.add_argument("--noise_schedule", default="linear")
    parser.add_argument("--use_scale_shift_norm", type=_flag, default=True)
    for name in ("class_cond", "resblock_updown", "use_new_attention_order", "learn_sigma", "sigma_small", "predict_xstart", "rescale_timesteps"):
        parser.add_argument(f"--{name}", type=_flag, default=False)
    for name in IGNORED:
        parser.add_argument(f"--{name}")
    try:
        values, unknown = parser.parse_known_args(flags)
    except argparse.ArgumentError as error:
        raise UnsupportedModel(f"--flags: {error}.") from error
    if unknown:
        raise UnsupportedModel(f"--flags: {unknown[0]} is not a flag of guided-diffusion that describes an unconditional model.")
    return values


def _flag(text: str) -> bool:
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"must be True or False, not {text!r}")
    return values[text.lower()]


def config_of(flags: argparse.Namespace) -> GuidedConfig:
    """The network that the flags describe. Raises UnsupportedModel where they describe none."""
    multipliers = flags.channel_mult or MULTIPLIERS.get(flags.image_size)
    if multipliers is None:
        raise UnsupportedModel(f"--flags: there is no usual channel_mult for image_size {flags.image_size}: give it.")
    try:
        levels = tuple(float(m) for m in multipliers.split(","))
        attention = tuple(int(side) for side in flags.attention_resolutions.split(","))
    except ValueError as error:
        raise UnsupportedModel(f"--flags: channel_mult and attention_resolutions are numbers separated by commas ({error}).") from error
    if flags.image_size % 2 ** (len(levels) - 1):
        raise UnsupportedModel(f"--flags: image_size {flags.image_size} cannot be halved {len(levels) - 1} times.")
    if flags.diffusion_steps < 1:
        raise UnsupportedModel(f"--flags: diffusion_steps must be at least 1, not {flags.diffusion_steps}.")
    return GuidedConfig(
        resolution=flags.image_size,
        channels=flags.num_channels,
        multipliers=levels,
        blocks=flags.num_res_blocks,
        attention=attention,
        out_channels=6 if flags.learn_sigma else 3,
        heads=flags.num_heads,
        heads_up=flags.num_heads_upsample,
        head_channels=flags.num_head_channels,
        scale_shift=flags.use_scale_shift_norm,
        resample_blocks=flags.resblock_updown,
        split_heads_last=flags.use_new_attention_order,
        t_scale=1000 / flags.diffusion_steps if flags.rescale_timesteps else 1,
    )


def read_checkpoint(checkpoint: Path, flags: list[str]) -> Source:
    """The network of a checkpoint, a state dict in a .pt file. Raises UnsupportedModel, and OSError when it cannot be read."""
    values = parse_flags(flags)
    state = _state(checkpoint)
    if values.class_cond or "label_emb.weight" in state:
        raise UnsupportedModel(f"{checkpoint.name} is class-conditional: only unconditional models fill holes with RePaint.")
    config = config_of(values)
    try:
        network = GuidedUNet(config).eval()
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except (RuntimeError, ValueError, ZeroDivisionError) as error:
        raise UnsupportedModel(f"--flags do not describe the network in {checkpoint.name}: {_first_lines(error)}") from error
    return Source(
        network=network,
        resolution=config.resolution,
        out_channels=config.out_channels,
        prediction="sample" if values.predict_xstart else "epsilon",
        schedule=_schedule(values.noise_schedule, values.diffusion_steps),
        variance="learned" if values.learn_sigma else "fixed_small" if values.sigma_small else "fixed_large",
        clip=True,  # the original's scripts do so unless they are told otherwise
        spacing="linspace",  # space_timesteps of the original
        kind=f"guided-diffusion checkpoint {checkpoint.name}",
    )


def _state(checkpoint: Path) -> dict[str, torch.Tensor]:
    try:
        # PyTorch before 1.6 wrote another format than zip, which cannot be mapped into memory.
        state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(checkpoint))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # torch.load raises many classes for a file that is not a checkpoint, or that holds code
        raise UnsupportedModel(f"{checkpoint.name} is not a checkpoint of weights alone ({_first_lines(error, 1)})") from error
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()):
        raise UnsupportedModel(f"{checkpoint.name} is not a state dict: a dictionary of tensors, as guided-diffusion saves it.")
    return state


def _schedule(name: str, T: int) -> dict:
    if name == "cosine":
        return schedules.cosine(T)
    if name == "linear":  # the paper's, for any number of timesteps
        scale = 1000 / T
        if scale * 0.02 >= 1:
            raise UnsupportedModel(f"--flags: the linear schedule is not defined for diffusion_steps {T}.")
        return schedules.linear(T, scale * 1e-4, scale * 0.02)
    raise UnsupportedModel(f"--flags: noise_schedule must be linear or cosine, not {name!r}.")


def _first_lines(error: Exception, count: int = 4) -> str:
    return " ".join(line.strip() for line in str(error).splitlines()[:count])
