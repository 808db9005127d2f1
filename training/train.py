"""Train an inpainting U-Net.

    python train.py configs/celeba-64.toml                     # start, or go on from runs/<id>/last.pt
    python train.py configs/celeba-64.toml --steps 20000       # prolong
    python train.py configs/celeba-64.toml --init ../models/celeba-inpaint-64/1   # from an exported model

Everything random is drawn from (seed, step): a run that was stopped and resumed repeats the loss curve of one
that was not. Ctrl-C and SIGTERM save first. runs/<id>/ holds last.pt, before-decay.pt, log.jsonl, loss.png, samples.png.
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
"""The keys that each part of a config must have, no more and no less."""


def load_config(path: Path) -> dict:
    """The TOML file as a dict; a missing or unknown key ends the program with a sentence that names it."""
    config = tomllib.loads(path.read_text())
    for part in ("id", "data", "model", "schedule", *KEYS):
        if part not in config:
            raise SystemExit(f"{path}: {part} is missing")
    for part, keys in KEYS.items():
        if wrong := keys ^ config[part].keys():
            raise SystemExit(f"{path}: [{part}] must have exactly {sorted(keys)}; look at {sorted(wrong)}")
    return config


def build(config: dict) -> tuple[UNet, diffusion.Schedule]:
    """The network with fresh weights, and the schedule, of a config."""
    model = {k: tuple(v) if isinstance(v, list) else v for k, v in config["model"].items()}
    schedule = dict(config["schedule"])
    return UNet(UNetConfig(**model)), diffusion.SCHEDULES[schedule.pop("type")](**schedule)


def load_sources(config: dict, data: Path, photos: Path, split: str) -> Sources:
    """The arrays of `split` that the config's [mix] asks for."""
    mix, resolution = config["mix"], config["model"]["resolution"]
    return Sources(
        load_faces(data, resolution, split),
        load_faces(data, mix["zoom_from"], split) if mix["zoom"] else None,
        load_faces(photos, 4 * resolution, split) if mix["photos"] else None,
    )


def learning_rate(step: int, train: dict) -> float:
    """The factor on the learning rate: up over the warm-up, constant, linear to 0 over the last part."""
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
        """The model with the averaged weights, in evaluation mode."""
        trained = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.shadow)
        self.model.eval()
        try:
            yield self.model
        finally:
            self.model.load_state_dict(trained)
            self.model.train()


def validate(model, schedule: diffusion.Schedule, sources: Sources, config: dict, device: str) -> dict:
    """The figures that tell two recipes apart, on fixed pictures, masks, timesteps and noise.

    validation: mean min-SNR-5 loss of faces, whatever weights are trained with. validation_photos: of photographs.
    x0_error: mean squared error of x0 at t = T - 1 where everything is hole; the mean face's is about 0.25.
    """
    held_out = Sources(sources.faces[:VALIDATION_ROWS], None, sources.photos)
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
    """A run: the network, its average, its optimisers, and the step that it has reached."""

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
        """Go on from a checkpoint; refused where it is of another network, schedule or seed."""
        state = torch.load(checkpoint, map_location=self.device, weights_only=True)
        for part, here, there in [
            ("[model]", self.config["model"], state["config"]["model"]),
            ("[schedule]", self.config["schedule"], state["config"]["schedule"]),
            ("seed", self.config["train"]["seed"], state["config"]["train"]["seed"]),
        ]:
            if here != there:
                raise SystemExit(f"{checkpoint} was trained with another {part}: {there}, not {here}; choose another --run")
        self.model.load_state_dict(state["model"])
        self.ema.shadow = state["ema"]
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = state["step"]

    def start_from(self, folder: Path):
        """Take the weights of an exported model's folder."""
        from safetensors.torch import load_file

        self.model.load_state_dict({k: v.float() for k, v in load_file(folder / "weights.safetensors").items()})
        self.ema.shadow = {k: v.clone() for k, v in self.model.state_dict().items()}

    def train_step(self, sources: Sources) -> torch.Tensor:
        """One batch, one update of the weights; the mean loss, a scalar."""
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
        line = {"step": self.step, **{k: round(v, 5) for k, v in figures.items()}, "time": round(time.time())}
        with (self.run / "log.jsonl").open("a") as f:
            f.write(json.dumps(line) + "\n")

    def save(self, name: str):
        """Written beside, then renamed: a crash never leaves half a checkpoint."""
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
        """Validation figures, a sheet of fills, the loss curve, and a checkpoint."""
        with self.ema.applied(), torch.no_grad(), self.autocast:
            figures = validate(self.model, self.schedule, held_out, self.config, self.device)
            sample_sheet(self.model, self.schedule, held_out.faces, self.device, self.run / "samples.png")
        self.log(**figures)
        self.save("last.pt")
        plot(self.run / "log.jsonl", self.run / "loss.png")
        tqdm.write(f"step {self.step}: " + ", ".join(f"{k} {v:.5f}" for k, v in figures.items()))

    def loop(self, sources: Sources, held_out: Sources, every_minutes: float):
        """Train to the config's last step, or until SIGINT or SIGTERM; a report every so many minutes and at the end."""
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
            print(f"stopped and saved at step {self.step}: run the same command to go on")
        else:
            self.report(held_out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path, help="a folder of pictures, or one with manifest.csv (default: the config's)")
    parser.add_argument("--photos", type=Path, help="a folder made by photos.py (default: the config's)")
    parser.add_argument("--steps", type=int, help="in place of the config's")
    parser.add_argument("--run", type=Path, help="where checkpoints and logs go (default: runs/<id>)")
    parser.add_argument("--resume", type=Path, help="a checkpoint (default: last.pt of the run, if there is one)")
    parser.add_argument("--init", type=Path, help="start from the weights of an exported model's folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--precision", choices=["bf16", "fp32"], help="of the forward and backward pass (default: bf16 where the device has it)")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--every-minutes", type=float, default=10, help="between validations, sheets and checkpoints")
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
