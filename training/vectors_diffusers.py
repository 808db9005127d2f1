"""Writes tests/vectors/diffusers.json: whole trajectories of diffusers' schedulers, for the service's samplers to be compared with.

    python vectors_diffusers.py

Every trajectory starts from the same x, takes the same noise at the same step, and asks the same stand-in for a network
(`network` below; tests/diffusion/diffusers.test.ts has it too). Where the two implementations differ on purpose:

- DDPMScheduler adds noise in the last step when that is not at t = 0 (trailing spacing, fixed_large and learned_range); the
  service returns the mean there. That last state is left out.
- DDIMScheduler subtracts T // steps from t to find the next timestep. With linspace spacing that is not the next timestep of
  its list, so only leading and trailing are compared.
- DPMSolverMultistepScheduler spaces timesteps by its own rule: it is given the list of DDPMScheduler's rule. It has no option
  that clips x_0; its thresholding with sample_max_value 1 does the same.
- squaredcos_cap_v2 caps beta at 0.999, where the service puts a floor of 1e-5 under abar: they differ at the last three
  timesteps. The samplers are given diffusers' abar.
"""

import itertools
import json
from pathlib import Path

import diffusers
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

FILE = Path(__file__).parent.parent / "tests" / "vectors" / "diffusers.json"

T, STEPS, CHANNELS = 1000, 8, 3  # 8 steps: no timestep of any spacing is rounded from a half, where NumPy rounds to even
SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction", "sample": "sample"}
SPACINGS = ("leading", "trailing", "linspace")
VARIANCES = {"fixed_small": "fixed_small", "fixed_large": "fixed_large", "learned": "learned_range"}


def network(x: torch.Tensor, t: int) -> torch.Tensor:
    """[1, C, 1, 1] -> [1, 2C, 1, 1], a prediction and a variance output: any smooth function that is the same on both sides."""
    channel = torch.arange(x.shape[1], dtype=x.dtype).view(1, -1, 1, 1)
    bounded = x / (1 + x.abs())
    return torch.cat([1.5 * torch.cos(0.01 * t + channel) * bounded, torch.sin(0.02 * t + channel) * bounded], 1)


def noise(step: int) -> torch.Tensor:
    """x_T for step 0, and what step i - 1 adds for step i: [1, C, 1, 1], float64."""
    return torch.randn(1, CHANNELS, 1, 1, generator=seeded(step), dtype=torch.float64)


def seeded(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


def vectors() -> dict:
    clips = (True, False)
    trajectories = [
        *[ddpm(*case) for case in itertools.product(VARIANCES, PREDICTIONS, SPACINGS, SCHEDULES, clips)],
        *[ddim(*case) for case in itertools.product((0.0, 0.5, 1.0), PREDICTIONS, ("leading", "trailing"), SCHEDULES, clips)],
        *[dpmpp_2m(*case) for case in itertools.product(PREDICTIONS, SPACINGS, SCHEDULES, clips)],
    ]
    visited = sorted({t for trajectory in trajectories for t in trajectory["timesteps"]})
    return {
        "diffusers": diffusers.__version__,
        "T": T,
        "noise": [noise(step).flatten().tolist() for step in range(STEPS + 1)],
        "schedules": {
            name: {"t": visited, "abar": in_double(DDPMScheduler(T, beta_schedule=beta)).alphas_cumprod[visited].tolist()}
            for name, beta in SCHEDULES.items()
        },
        "trajectories": trajectories,
    }


def ddpm(variance: str, prediction: str, spacing: str, schedule: str, clip: bool) -> dict:
    scheduler = in_double(
        DDPMScheduler(
            T,
            beta_schedule=SCHEDULES[schedule],
            variance_type=VARIANCES[variance],
            prediction_type=PREDICTIONS[prediction],
            clip_sample=clip,
            timestep_spacing=spacing,
        )
    )
    scheduler.set_timesteps(STEPS)

    def step(i: int, t: int, x: torch.Tensor) -> torch.Tensor:
        out = network(x, t)[:, : 2 * CHANNELS if variance == "learned" else CHANNELS]
        return scheduler.step(out, t, x, generator=seeded(i + 1)).prev_sample

    path = run(scheduler, step)
    if variance != "fixed_small" and path["timesteps"][-1] > 0:
        path["states"].pop()
    return {"sampler": "ddpm", "variance": variance} | described(prediction, spacing, schedule, clip) | path


def ddim(eta: float, prediction: str, spacing: str, schedule: str, clip: bool) -> dict:
    scheduler = in_double(
        DDIMScheduler(
            T,
            beta_schedule=SCHEDULES[schedule],
            prediction_type=PREDICTIONS[prediction],
            clip_sample=clip,
            timestep_spacing=spacing,
        )
    )
    scheduler.set_timesteps(STEPS)

    def step(i: int, t: int, x: torch.Tensor) -> torch.Tensor:
        out, z = network(x, t)[:, :CHANNELS], noise(i + 1)
        return scheduler.step(out, t, x, eta=eta, use_clipped_model_output=True, variance_noise=z).prev_sample

    return {"sampler": "ddim", "eta": eta} | described(prediction, spacing, schedule, clip) | run(scheduler, step)


def dpmpp_2m(prediction: str, spacing: str, schedule: str, clip: bool) -> dict:
    spaced = DDPMScheduler(T, timestep_spacing=spacing)
    spaced.set_timesteps(STEPS)
    scheduler = in_double(
        DPMSolverMultistepScheduler(
            T,
            beta_schedule=SCHEDULES[schedule],
            prediction_type=PREDICTIONS[prediction],
            solver_order=2,
            algorithm_type="dpmsolver++",
            thresholding=clip,
            sample_max_value=1.0,
        )
    )
    scheduler.set_timesteps(timesteps=spaced.timesteps.tolist())

    def step(_: int, t: int, x: torch.Tensor) -> torch.Tensor:
        return scheduler.step(network(x, t)[:, :CHANNELS], t, x).prev_sample

    return {"sampler": "dpmpp_2m"} | described(prediction, spacing, schedule, clip) | run(scheduler, step)


def in_double(scheduler):
    """The same scheduler with its float32 abar cast to float64, so that its own rounding does not limit the comparison."""
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    return scheduler


def described(prediction: str, spacing: str, schedule: str, clip: bool) -> dict:
    return {"prediction": prediction, "spacing": spacing, "schedule": schedule, "clip": clip}


def run(scheduler, step) -> dict:
    """The timesteps, and x [C] after each of them."""
    x, states = noise(0), []
    for i, t in enumerate(scheduler.timesteps.tolist()):
        x = step(i, t, x)
        states.append([float(f"{value:.8g}") for value in x.flatten().tolist()])
    return {"timesteps": scheduler.timesteps.tolist(), "states": states}


def text() -> str:
    """JSON, a trajectory a line."""
    found = vectors()
    lines = ",\n".join(json.dumps(trajectory) for trajectory in found.pop("trajectories"))
    return f'{json.dumps(found)[:-1]},\n"trajectories": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    FILE.write_text(text())
