"""Train an inpainting U-Net.

    python train.py configs/celeba-64.toml                     # start, or resume from runs/<id>/last.pt
    python train.py configs/celeba-64.toml --steps 20000       # train longer
    python train.py configs/celeba-64.toml --init ../models/celeba-inpaint-64/1   # start from an exported model

All random numbers are derived from (seed, step), so a resumed run repeats the loss curve of an uninterrupted one.
Ctrl-C and SIGTERM save a checkpoint first. runs/<id>/ holds last.pt, before-decay.pt, log.jsonl, loss.png, samples.png.
"""

import argparse
import json
import signal
import time
import tomllib
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import diffusion
from batches import Sources, batch_at, to_device
from data import load_faces
from optim import fast_bf16, optimisers
from sheet import plot, sample_sheet
from unet import UNet, UNetConfig

HERE = Path(__file__).parent
VALIDATION_ROWS = 512
LOG_EVERY = 50
KEYS = {
    "mix": {"zoom", "zoom_from", "photos", "photos_data"},
    "loss": {"snr_cap", "weight_floor"},
    "train": {"steps", "batch", "muon_lr", "adam_lr", "warmup", "decay", "clip", "ema", "seed"},
}
"""The required keys of each section of a config. Other keys are errors."""


def load_config(path: Path) -> dict:
    """Read a TOML config as a dict. Exits with an error that names the missing or unknown key."""
    config = tomllib.loads(path.read_text())
    for part in ("id", "data", "model", "schedule", *KEYS):
        if part not in config:
            raise SystemExit(f"{path}: {part} is missing; see configs/ for examples")
    for part, keys in KEYS.items():
        if wrong := keys ^ config[part].keys():
            raise SystemExit(f"{path}: [{part}] must have exactly the keys {sorted(keys)}; missing or unknown: {sorted(wrong)}")
    return config


def build(config: dict) -> tuple[UNet, diffusion.Schedule]:
    """The network of a config with new weights, mapping x [N, C, R, R] and t [N] to v [N, 3, R, R], and its schedule."""
    model = {k: tuple(v) if isinstance(v, list) else v for k, v in config["model"].items()}
    schedule = dict(config["schedule"])
    return UNet(UNetConfig(**model)), diffusion.SCHEDULES[schedule.pop("type")](**schedule)


def load_sources(config: dict, data: Path, photos: Path, split: str) -> Sources:
    """The pictures of `split` that the config's [mix] requires. Larger faces are for training alone: validation does not zoom."""
    mix, resolution = config["mix"], config["model"]["resolution"]
    return Sources(
        load_faces(data, resolution, split),
        load_faces(data, mix["zoom_from"], split) if mix["zoom"] and split == "train" else None,
        load_faces(photos, 4 * resolution, split) if mix["photos"] else None,
    )


def learning_rate(step: int, train: dict) -> float:
    """Factor for the learning rate, 0..1: linear warm-up, constant, then linear decay to 0. train: the [train] section."""
    decay_from = train["steps"] * (1 - train["decay"])
    return min(1.0, (step + 1) / train["warmup"], (train["steps"] - step) / max(1.0, train["steps"] - decay_from))


class Ema:
    """Exponential moving average of the weights, decay min(ema, (1 + step) / (10 + step))."""

    def __init__(self, model: UNet, decay: float):
        self.decay, self.model = decay, model
        self.shadow = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int):
        d = min(self.decay, (1 + step) / (10 + step))
        current = self.model.state_dict()
        torch._foreach_lerp_([self.shadow[k] for k in current], list(current.values()), 1 - d)

    @contextmanager
    def applied(self):
        """A context in which the model has the averaged weights and is in evaluation mode."""
        trained = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.shadow)
        self.model.eval()
        try:
            yield self.model
        finally:
            self.model.load_state_dict(trained)
            self.model.train()


def validate(model, schedule: diffusion.Schedule, sources: Sources, config: dict, device: str) -> dict:
    """Metrics for comparing training configurations, on fixed pictures, masks, timesteps and noise.

    validation: mean min-SNR-5 loss on faces, whatever loss weights the training uses; validation_photos: the same on
    photographs; x0_error: mean squared error of x_0 at t = T - 1 when the whole picture is the hole. For comparison,
    predicting the mean face gives about 0.25.
    """
    held_out = Sources(sources.faces[:VALIDATION_ROWS], photos=sources.photos)
    batch = min(32, len(held_out.faces))
    fixed = {**config, "train": {**config["train"], "seed": 0, "batch": batch}}
    batches = len(held_out.faces) // batch
    faces = {**fixed, "mix": {"zoom": 0, "photos": 0}}
    out = {"validation": _mean_loss(model, schedule, held_out, faces, device, batches)}
    if config["mix"]["photos"]:
        photos = {**fixed, "mix": {"zoom": 0, "photos": 1}}
        out["validation_photos"] = _mean_loss(model, schedule, held_out, photos, device, batches)
    errors = []
    for i in range(min(3, batches)):
        x0, mask, t, eps = to_device(batch_at(i, held_out, faces, schedule.T), device)
        t, mask = torch.full_like(t, schedule.T - 1), torch.ones_like(mask)
        x = diffusion.q_sample(schedule, x0, t, eps)
        x0_hat, _ = diffusion.to_x0_eps(schedule, "v", x, t, model(diffusion.network_input(x, x0, mask), t).float())
        errors.append(float(((x0_hat - x0) ** 2).mean()))
    return {**out, "x0_error": float(np.mean(errors))}


def _mean_loss(model, schedule: diffusion.Schedule, sources: Sources, config: dict, device: str, batches: int) -> float:
    rows = [diffusion.loss(model, schedule, *to_device(batch_at(i, sources, config, schedule.T), device)) for i in range(batches)]
    return float(torch.cat(rows).mean())


class Training:
    """The state of a training run: network, averaged weights, optimisers and current step."""

    def __init__(self, config: dict, run: Path, device: str, precision: str, compiled: bool):
        self.config, self.run, self.device = config, run, device
        self.model, self.schedule = build(config)
        self.model.to(device, memory_format=torch.channels_last)
        train = config["train"]
        self.ema = Ema(self.model, train["ema"])
        self.optimisers = optimisers(self.model, train["muon_lr"], train["adam_lr"])
        self.base_rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in self.optimisers]
        self.forward = torch.compile(self.model) if compiled else self.model
        self.autocast = torch.autocast(device.split(":")[0], torch.bfloat16) if precision == "bf16" else nullcontext()
        self.step = 0

    def resume(self, checkpoint: Path):
        """Resume from a checkpoint. Exits if its network, schedule or seed differs from the config."""
        state = torch.load(checkpoint, map_location=self.device, weights_only=True)
        for part, here, there in [
            ("[model]", self.config["model"], state["config"]["model"]),
            ("[schedule]", self.config["schedule"], state["config"]["schedule"]),
            ("seed", self.config["train"]["seed"], state["config"]["train"]["seed"]),
        ]:
            if here != there:
                raise SystemExit(f"{checkpoint} was trained with another {part} ({there}, not {here}): choose another --run")
        self.model.load_state_dict(state["model"])
        self.ema.shadow = state["ema"]
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = state["step"]

    def start_from(self, folder: Path):
        """Start from the weights of an exported model's folder."""
        from safetensors.torch import load_file

        self.model.load_state_dict({k: v.float() for k, v in load_file(folder / "weights.safetensors").items()})
        self.ema.shadow = {k: v.clone() for k, v in self.model.state_dict().items()}

    def train_step(self, sources: Sources) -> torch.Tensor:
        """Update the weights with one batch, and return its mean loss (a scalar)."""
        train, loss = self.config["train"], self.config["loss"]
        torch.manual_seed(train["seed"] * 1_000_003 + self.step)  # dropout
        batch = to_device(batch_at(self.step, sources, self.config, self.schedule.T), self.device)
        with self.autocast:
            value = diffusion.loss(self.forward, self.schedule, *batch, loss["snr_cap"], loss["weight_floor"]).mean()
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), train["clip"])
        factor = learning_rate(self.step, train)
        for optimiser, rates in zip(self.optimisers, self.base_rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.ema.update(self.step)
        return value.detach()

    def log(self, **figures: float):
        """Append the figures, the step and the time to log.jsonl."""
        line = {"step": self.step, **{k: round(v, 5) for k, v in figures.items()}, "time": round(time.time())}
        with (self.run / "log.jsonl").open("a") as f:
            f.write(json.dumps(line) + "\n")

    def save(self, name: str):
        """Write a checkpoint. It is written to a temporary file and renamed, so a crash cannot leave an incomplete one."""
        part = self.run / f"{name}.part"
        torch.save(
            {
                "step": self.step,
                "config": self.config,
                "model": self.model.state_dict(),
                "ema": self.ema.shadow,
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            },
            part,
        )
        part.rename(self.run / name)

    def report(self, held_out: Sources):
        """Log the validation metrics, and write samples.png, loss.png and last.pt."""
        with self.ema.applied(), torch.no_grad(), self.autocast:
            figures = validate(self.model, self.schedule, held_out, self.config, self.device)
            sample_sheet(self.model, self.schedule, held_out.faces, self.device, self.run / "samples.png")
        self.log(**figures)
        self.save("last.pt")
        plot(self.run / "log.jsonl", self.run / "loss.png")
        tqdm.write(f"step {self.step}: " + ", ".join(f"{k} {v:.5f}" for k, v in figures.items()))

    def loop(self, sources: Sources, held_out: Sources, every_minutes: float):
        """Train until the last step of the config, SIGINT or SIGTERM. Reports every `every_minutes` minutes and at the end."""
        train = self.config["train"]
        stopping = []
        for s in (signal.SIGINT, signal.SIGTERM):
            signal.signal(s, lambda *_: stopping.append(True))
        decay_from = round(train["steps"] * (1 - train["decay"]))
        bar = tqdm(initial=self.step, total=train["steps"], unit="step", mininterval=10, dynamic_ncols=True)
        self.model.train()
        recent, reported, started, since = [], time.time(), time.time(), self.step
        while self.step < train["steps"] and not stopping:
            if self.step == decay_from:
                self.save("before-decay.pt")
            recent.append(self.train_step(sources))
            bar.update()
            if len(recent) == LOG_EVERY:
                speed = (self.step - since) * train["batch"] / (time.time() - started)
                mean = float(torch.stack(recent).mean())
                bar.set_postfix(loss=f"{mean:.4f}", images_s=f"{speed:.1f}")
                self.log(loss=mean, images_s=round(speed, 1))
                recent, started, since = [], time.time(), self.step
            if time.time() - reported > every_minutes * 60 and not stopping:
                self.report(held_out)
                reported = started = time.time()
                since = self.step
        bar.close()
        if stopping:
            self.save("last.pt")
            print(f"stopped and saved at step {self.step}: run the same command to resume")
        else:
            self.report(held_out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a TOML file, see configs/")
    parser.add_argument("--data", type=Path, help="folder of pictures, with or without manifest.csv (default: from the config)")
    parser.add_argument("--photos", type=Path, help="folder made by photos.py (default: from the config)")
    parser.add_argument("--steps", type=int, help="number of steps (default: from the config)")
    parser.add_argument("--run", type=Path, help="folder for checkpoints and logs (default: runs/<id>)")
    parser.add_argument("--resume", type=Path, help="checkpoint to resume from (default: last.pt of the run, if it exists)")
    parser.add_argument("--init", type=Path, help="start from the weights of an exported model's folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--precision", choices=["bf16", "fp32"], help="of the forward and backward pass (default: bf16 if the device supports it)")
    parser.add_argument("--no-compile", action="store_true", help="do not use torch.compile")
    parser.add_argument("--every-minutes", type=float, default=10, help="minutes between validations and checkpoints")
    args = parser.parse_args()

    config = load_config(args.config)
    if args.steps:
        config["train"]["steps"] = args.steps
    run = args.run or HERE / "runs" / config["id"]
    run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(config["train"]["seed"])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True

    data, photos = args.data or HERE / config["data"], args.photos or HERE / config["mix"]["photos_data"]
    sources, held_out = (load_sources(config, data, photos, split) for split in ("train", "validation"))
    precision = args.precision or ("bf16" if fast_bf16(args.device) else "fp32")
    training = Training(config, run, args.device, precision, not args.no_compile)
    checkpoint = args.resume or run / "last.pt"
    if args.resume or checkpoint.exists():
        training.resume(checkpoint)
    elif args.init:
        training.start_from(args.init)
    weights = sum(p.numel() for p in training.model.parameters()) / 1e6
    print(
        f"{config['id']}: {weights:.2f} M weights, {len(sources.faces)} faces, {args.device}, step {training.step} of {config['train']['steps']}",
        flush=True,
    )
    training.loop(sources, held_out, args.every_minutes)


if __name__ == "__main__":
    main()
