"""Train a stage of an inpainting model: the base U-Net, the refiner, or a student of the base U-Net.

    python train.py configs/celeba-64.toml                     # start, or resume from runs/<id>/last.pt
    python train.py configs/celeba-64.toml --steps 20000       # train longer
    python train.py configs/celeba-64.toml --init ../models/celeba-inpaint-64/1   # start from an exported model
    python train.py configs/celeba-128.toml --minutes 30       # train for half an hour, whatever the number of steps
    python train.py configs/refiner-64.toml                    # the refiner
    python train.py configs/student-64.toml                    # a student, which needs four evaluations

All random numbers are derived from (seed, step), so a resumed run repeats the loss curve of an uninterrupted one.
Ctrl-C and SIGTERM save a checkpoint first; the exit status is then 130 or 143. runs/<id>/ holds last.pt, before-decay.pt,
log.jsonl, loss.png, samples.png.
"""

import argparse
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

import diffusion
import resuming
from batches import Sources
from config import load_config
from data import digest
from files import replacing
from optim import fast_bf16, learning_rate, optimisers
from register import read_card
from sheet import plot
from stages import STAGES, differences
from workers import drawn

HERE = Path(__file__).parent
LOG_EVERY = 50


def stage_of(config: dict):
    """The stage that a config trains. Checkpoints written before the refiner existed do not name it."""
    return STAGES[config.get("stage", "base")](config)


def build(config: dict) -> tuple[nn.Module, diffusion.Schedule]:
    """The network of a config with new weights, and its schedule."""
    stage = stage_of(config)
    return stage.network(), stage.schedule


def with_variances(weights: dict, wanted: dict) -> dict:
    """`weights` with rows of 0 added to the last layer where `wanted` (a state dict) has more: the outputs of variances.

    An output of 0 is the geometric mean of the two fixed variances. The last layer's rows are ordered by output channel, so
    those of the prediction come first (pixel shuffle).
    """
    padded = dict(weights)
    for name in ("head.weight", "head.bias"):
        if name in wanted and len(wanted[name]) > len(weights[name]):
            padded[name] = torch.zeros_like(wanted[name], device="cpu")
            padded[name][: len(weights[name])] = weights[name]
    return padded


class Ema:
    """Exponential moving average of the weights, decay min(ema, (1 + step) / (10 + step))."""

    def __init__(self, model: nn.Module, decay: float):
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


class Training:
    """The state of a training run: network, averaged weights, optimisers and current step."""

    def __init__(self, config: dict, run: Path, device: str, precision: str, compiled: bool):
        self.config, self.run, self.device = config, run, device
        self.stage = stage_of(config)
        self.stage.check()
        self.model = self.stage.network()
        self.pictures: str | None = None  # data.digest of the training pictures
        self.model.to(device, memory_format=torch.channels_last)
        train = config["train"]
        self.ema = Ema(self.model, train["ema"])
        self.optimisers = optimisers(self.model, train["muon_lr"], train["adam_lr"])
        self.base_rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in self.optimisers]
        self.forward = torch.compile(self.model) if compiled else self.model
        self.autocast = torch.autocast(device.split(":")[0], torch.bfloat16) if precision == "bf16" else nullcontext()
        self.step = 0
        self.seconds = 0.0  # of training, without the reports
        self.init: str | None = None  # the model whose weights it started from
        self.branch: dict | None = None  # the --resume that it started from, and until when: see resuming.begin

    def resume(self, checkpoint: Path):
        """Resume from a checkpoint. Exits if it does not suit the config (see resuming.PARTS) or the pictures. Raises as resuming.saved does."""
        state = resuming.saved(checkpoint, self.device, mmap=False)
        resuming.check(checkpoint, self.config, state["config"])
        resuming.check_pictures(checkpoint, self.pictures, state.get("pictures"))
        self.model.load_state_dict(state["model"])
        self.ema.shadow = state["ema"]
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.seconds, self.init = state["step"], state.get("seconds", 0.0), state.get("init")
        self.branch = state.get("branch")

    def start_from(self, folder: Path):
        """Start from the weights of this stage in an exported version's folder, which may lack the output of variances.

        Raises OSError if there are none, and ValueError if they are those of another architecture.
        """
        from safetensors.torch import load_file

        weights = {k: v.float() for k, v in load_file(folder / self.stage.weights_file).items()}
        try:
            self.model.load_state_dict(with_variances(weights, self.model.state_dict()))
        except (RuntimeError, KeyError) as error:
            raise ValueError(f"the weights of {folder} do not fit [model]: {differences(self.stage, read_card(folder)) or error}") from error
        self.ema.shadow = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.init = resuming.name_of(folder)

    def batches(self, sources: Sources, workers: int) -> Iterator[list[torch.Tensor]]:
        """The batches from the current step on, without end, drawn by this many processes (0: by this one, when needed)."""
        return drawn(self.stage, sources, self.step, workers, pinned=self.device.startswith("cuda"))

    def train_step(self, batch: list[torch.Tensor], progress: float) -> torch.Tensor:
        """Update the weights with one batch, and return its mean loss (a scalar). progress: see learning_rate."""
        train = self.config["train"]
        torch.manual_seed(train["seed"] * 1_000_003 + self.step)  # dropout
        with self.autocast:
            value = self.stage.loss(self.forward, batch, self.device).mean()
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), train["clip"])
        factor = learning_rate(self.step, progress, train)
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
        """Write a checkpoint in one step."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "init": self.init,
            "branch": self.branch,
            "pictures": self.pictures,
            "device": torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else None,
            "config": self.config,
            "model": self.model.state_dict(),
            "ema": self.ema.shadow,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }
        with replacing(self.run / name) as part:
            torch.save(state, part)

    def report(self, held_out: Sources):
        """Write last.pt, log the validation metrics, and write samples.png and loss.png. The checkpoint comes first: the others may fail."""
        self.save("last.pt")
        with self.ema.applied(), torch.no_grad(), self.autocast:
            figures = self.stage.validate(self.model, held_out, self.device)
            self.log(**figures)
            self.stage.sheet(self.model, held_out, self.device, self.run / "samples.png")
        plot(self.run / "log.jsonl", self.run / "loss.png")
        tqdm.write(f"step {self.step}: " + ", ".join(f"{k} {v:.5f}" for k, v in figures.items()))

    def progress(self, minutes: float | None = None) -> float:
        """Share of the training that is done: of `minutes`, or else of the steps in the config. 1 or more when it is complete."""
        return self.seconds / (60 * minutes) if minutes else self.step / self.config["train"]["steps"]

    def loop(self, sources: Sources, held_out: Sources, every_minutes: float, minutes: float | None = None, workers: int = 0):
        """Train until `minutes` or the last step of the config. Reports every `every_minutes` minutes and at the end.

        SIGINT and SIGTERM save a checkpoint and exit with 128 plus the signal's number, so that no script takes the training for complete.
        """
        train = self.config["train"]
        stopping = []
        for s in (signal.SIGINT, signal.SIGTERM):
            signal.signal(s, lambda number, _: stopping.append(number))
        decaying = self.progress(minutes) > 1 - train["decay"]
        bar = tqdm(initial=self.step, total=None if minutes else train["steps"], unit="step", mininterval=10, dynamic_ncols=True)
        self.model.train()
        batches = self.batches(sources, workers)
        recent, since = [], self.step
        reported = started = before = time.time()
        while (progress := self.progress(minutes)) < 1 and not stopping:
            if not decaying and progress >= 1 - train["decay"]:
                self.save("before-decay.pt")
                decaying = True
            recent.append(self.train_step(next(batches), progress))
            bar.update()
            if len(recent) == LOG_EVERY:
                speed = (self.step - since) * train["batch"] / (time.time() - started)
                mean = float(torch.stack(recent).mean())
                bar.set_postfix(loss=f"{mean:.4f}", images_s=f"{speed:.1f}")
                self.log(loss=mean, images_s=round(speed, 1))
                recent, started, since = [], time.time(), self.step
            now = time.time()
            self.seconds, before = self.seconds + now - before, now
            if now - reported > every_minutes * 60 and not stopping:
                self.report(held_out)
                reported = started = before = time.time()
                since = self.step
        bar.close()
        if stopping:
            self.save("last.pt")
            print(f"stopped and saved at step {self.step}: run the same command to resume", flush=True)
            raise SystemExit(128 + stopping[0])
        self.report(held_out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a TOML file, see configs/")
    parser.add_argument("--data", type=Path, help="folder of pictures, with or without manifest.csv (default: from the config)")
    parser.add_argument("--photos", type=Path, help="folder made by photos.py (default: from the config)")
    parser.add_argument("--steps", type=int, help="number of steps, with those of a checkpoint (default: from the config)")
    parser.add_argument("--minutes", type=float, help="train for this long, with the minutes of a checkpoint, whatever the number of steps")
    parser.add_argument("--workers", type=int, help="processes that draw batches (default: 4 with a GPU, or else none)")
    parser.add_argument("--run", type=Path, help="folder for checkpoints and logs (default: runs/<id>)")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", type=Path, help="checkpoint to resume from (default: last.pt of the run, if it exists)")
    start.add_argument("--init", type=Path, help="start from the weights of an exported model's folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--precision", choices=["bf16", "fp32"], help="of the forward and backward pass (default: bf16 if the device supports it)")
    parser.add_argument("--no-compile", action="store_true", help="do not use torch.compile")
    parser.add_argument("--every-minutes", type=float, default=10, help="minutes between validations and checkpoints")
    args = parser.parse_args()
    if any(given is not None and not given > 0 for given in (args.steps, args.minutes)):
        parser.error("--steps and --minutes must be above 0")

    config = load_config(args.config)
    if args.steps:
        config["train"]["steps"] = args.steps
    run = args.run or HERE / "runs" / config["id"]
    run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(config["train"]["seed"])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True

    # The checkpoint records the folders, and export.py describes their pictures in the model card.
    if args.data:
        config["data"] = str(args.data.resolve())
    if args.photos:
        config["mix"]["photos_data"] = str(args.photos.resolve())
    data, photos = HERE / config["data"], HERE / config["mix"]["photos_data"]
    precision = args.precision or ("bf16" if fast_bf16(args.device) else "fp32")
    with resuming.locked(run):
        try:
            training = Training(config, run, args.device, precision, not args.no_compile)
            sources, held_out = (training.stage.load(data, photos, split) for split in ("train", "validation"))
            training.pictures = digest(sources.faces)
            resuming.begin(training, args.resume, args.init, {"steps": config["train"]["steps"], "minutes": args.minutes})
        except (OSError, ValueError) as error:
            raise SystemExit(str(error)) from error
        weights = sum(p.numel() for p in training.model.parameters()) / 1e6
        until = f"{args.minutes:g} minutes" if args.minutes else f"{config['train']['steps']} steps"
        print(f"{config['id']}: {weights:.2f} M weights, {len(sources.faces)} faces, {args.device}, from step {training.step}, {until}", flush=True)
        workers = args.workers if args.workers is not None else 4 if args.device.startswith("cuda") else 0
        training.loop(sources, held_out, args.every_minutes, args.minutes, workers)


if __name__ == "__main__":
    main()
