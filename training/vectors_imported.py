"""Writes tests/vectors/imported: two tiny models with random weights, as import_model.py imports them, and imported.json: what
PyTorch and diffusers' schedulers make of them.

    python vectors_imported.py        # after a change of the importer

- tiny-diffusers: a UNet2DModel with the options of google/ddpm-celebahq-256, stored as fp32.
- tiny-guided: a guided-diffusion network with the options of the 256 px checkpoints, stored as fp16 beside its ONNX file.

Row i of a network's input is the service's noise for candidate i. A trajectory starts at the noise of step 0, and step i adds
that of step i + 1. Arrays are little-endian float32, in base64.
"""

import json
import shutil
import tempfile
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.schedulers import scheduling_ddpm

from importing.guided import config_of, parse_flags, read_checkpoint
from importing.guided_unet import GuidedUNet
from importing.pipeline_folder import read_folder
from importing.source import Source
from importing.version import Description, write_version
from philox import gaussian
from vectors_golden import encoded

FOLDER = Path(__file__).parent.parent / "tests" / "vectors" / "imported"
FILE = FOLDER / "imported.json"
SEED, STEPS, R = 5, 10, 16
TIMESTEPS = (3, 50, 900)
FLAGS = ["--image_size", "16", "--num_channels", "32", "--channel_mult", "1,1", "--num_res_blocks", "1", "--attention_resolutions", "8"]
FLAGS += ["--num_head_channels", "16", "--learn_sigma", "True", "--resblock_updown", "True", "--class_cond", "False"]
UNET = {
    "sample_size": R,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "norm_eps": 1e-6,
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
}


def pipeline(folder: Path) -> Path:
    """A pipeline folder, saved by diffusers itself."""
    torch.manual_seed(SEED)
    DDPMPipeline(UNet2DModel(**UNET), DDPMScheduler(1000, variance_type="fixed_small")).save_pretrained(folder)
    return folder


def checkpoint(file: Path) -> Path:
    """A guided-diffusion checkpoint. Its weights are those of the ONNX file: large tensors are rounded to fp16."""
    torch.manual_seed(SEED)
    state = GuidedUNet(config_of(parse_flags(FLAGS))).state_dict()
    torch.save({name: value.half().float() for name, value in state.items()}, file)
    return file


def sources() -> dict[str, Source]:
    with tempfile.TemporaryDirectory() as folder:
        return {
            "tiny-diffusers": read_folder(pipeline(Path(folder) / "pipeline")),
            "tiny-guided": read_checkpoint(checkpoint(Path(folder) / "guided.pt"), FLAGS),
        }


@torch.no_grad()
def rows(source: Source) -> list[dict]:
    x = torch.from_numpy(np.stack([noise(0, candidate) for candidate in range(len(TIMESTEPS))]))
    predictions = source.network(x, torch.tensor(TIMESTEPS).float())
    return [{"t": t, "prediction": encoded(prediction)} for t, prediction in zip(TIMESTEPS, predictions, strict=True)]


def noise(step: int, candidate: int = 0) -> np.ndarray:
    return gaussian(SEED, candidate, step, 3 * R * R).reshape(3, R, R)


def trajectories(source: Source) -> list[dict]:
    out = [ddpm(source, spacing) for spacing in ("linspace", "leading")]
    return out + [ddim(source, spacing, eta) for spacing in ("leading", "trailing") for eta in (0.0, 1.0)]


def ddpm(source: Source, spacing: str) -> dict:
    variance = {"learned": "learned_range"}.get(source.variance, source.variance)
    scheduler = DDPMScheduler(1000, variance_type=variance, timestep_spacing=spacing)
    scheduler.set_timesteps(STEPS)
    drawn = scheduling_ddpm.randn_tensor
    try:

        def step(i: int, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            scheduling_ddpm.randn_tensor = lambda *_, **__: torch.from_numpy(noise(i + 1))[None]
            return scheduler.step(predicted(source, x, t), t, x).prev_sample

        return {"sampler": "ddpm", "spacing": spacing, "eta": 0, "x": run(scheduler, step)}
    finally:
        scheduling_ddpm.randn_tensor = drawn


def ddim(source: Source, spacing: str, eta: float) -> dict:
    scheduler = DDIMScheduler(1000, timestep_spacing=spacing)
    scheduler.set_timesteps(STEPS)

    def step(i: int, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        z = torch.from_numpy(noise(i + 1))[None]
        out = predicted(source, x, t)[:, :3]
        return scheduler.step(out, t, x, eta=eta, use_clipped_model_output=True, variance_noise=z).prev_sample

    return {"sampler": "ddim", "spacing": spacing, "eta": eta, "x": run(scheduler, step)}


@torch.no_grad()
def predicted(source: Source, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    out = source.network(x, t[None].float())
    return out if source.variance == "learned" else out[:, :3]


def run(scheduler, step) -> str:
    """x after the last step."""
    x = torch.from_numpy(noise(0))[None]
    for i, t in enumerate(scheduler.timesteps):
        x = step(i, t, x)
    return encoded(x[0])


def text() -> str:
    models = {name: {"rows": rows(source), "trajectories": trajectories(source)} for name, source in sources().items()}
    return json.dumps({"diffusers": diffusers.__version__, "seed": SEED, "steps": STEPS, "models": models}, indent=1) + "\n"


def write_models():
    for name, source in sources().items():
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        small = {"halved_from": 0, "external_from": 0} if name == "tiny-guided" else {}
        write_version(source, Description(name, "1", "none: random weights", "random weights"), FOLDER, **small)
        (FOLDER / name / "1" / "README.md").unlink()  # it has the speed of one machine


if __name__ == "__main__":
    torch.set_num_threads(1)  # the networks are too small to share
    FOLDER.mkdir(exist_ok=True)
    write_models()
    FILE.write_text(text())
