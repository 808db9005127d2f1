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
from PIL import Image
from tqdm import tqdm

import diffusion
import masks
from data import load_faces
from optim import optimisers
from unet import UNet, UNetConfig

HERE = Path(__file__).parent
VALIDATION_ROWS = 512
KEYS = {"steps", "batch", "muon_lr", "adam_lr", "warmup", "decay", "clip", "ema", "zoom", "seed"}


def load_config(path: Path) -> dict:
    """The TOML file as a dict; a missing or unknown key is an error that names it."""
    config = tomllib.loads(path.read_text())
    for part in ("id", "data", "model", "schedule", "train"):
        if part not in config:
            raise SystemExit(f"{path}: {part} is missing")
    if wrong := KEYS ^ config["train"].keys():
        raise SystemExit(f"{path}: [train] must have exactly {sorted(KEYS)}; look at {sorted(wrong)}")
    return config


def build(config: dict) -> tuple[UNet, diffusion.Schedule]:
    model = {k: tuple(v) if isinstance(v, list) else v for k, v in config["model"].items()}
    schedule = dict(config["schedule"])
    return UNet(UNetConfig(**model)), diffusion.SCHEDULES[schedule.pop("type")](**schedule)


def batch_at(step: int, faces: np.ndarray, config: dict, T: int) -> list[torch.Tensor]:
    """(x0 uint8 [N,H,W,3], mask bool [N,1,H,W], t int64 [N], eps [N,3,H,W]): a function of the seed and the step alone."""
    train, n = config["train"], config["train"]["batch"]
    per_epoch = len(faces) // n
    epoch, i = divmod(step, per_epoch)
    order = np.random.default_rng([train["seed"], 0, epoch]).permutation(len(faces))
    rng = np.random.default_rng([train["seed"], 1, step])
    x0 = faces[order[i * n : (i + 1) * n]]
    if train["zoom"][0] < 1:
        x0 = np.stack([zoomed(rng, x, train["zoom"]) for x in x0])
    flip = rng.random(n) < 0.5
    x0 = np.where(flip[:, None, None, None], x0[:, :, ::-1], x0)
    mask = np.stack([masks.training_mask(rng, x0.shape[1]) for _ in range(n)])[:, None]
    t = ((rng.permutation(n) + rng.random(n)) * T / n).astype(np.int64)  # one stratum a row: lower variance
    eps = torch.randn(n, 3, *x0.shape[1:3], generator=torch.Generator().manual_seed(int(rng.integers(2**31))))
    return [torch.from_numpy(np.ascontiguousarray(x0)), torch.from_numpy(mask), torch.from_numpy(t), eps]


def zoomed(rng: np.random.Generator, x: np.ndarray, zoom: list[float]) -> np.ndarray:
    size = x.shape[0]
    side = round(size * rng.uniform(*zoom))
    top, left = rng.integers(0, size - side + 1, 2)
    return np.asarray(Image.fromarray(x[top : top + side, left : left + side]).resize((size, size), Image.BICUBIC))


def to_device(batch: list[torch.Tensor], device: str) -> list[torch.Tensor]:
    x0, mask, t, eps = (b.to(device, non_blocking=True) for b in batch)
    x0 = (x0.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    return [x0, mask.float(), t, eps.contiguous(memory_format=torch.channels_last)]


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


def validate(model, schedule, test: np.ndarray, config: dict, device: str) -> float:
    """Mean loss on fixed test faces, masks, timesteps and noise: the figure that tells two recipes apart."""
    test = test[:VALIDATION_ROWS]
    fixed = {**config, "train": {**config["train"], "seed": 0, "batch": min(64, len(test)), "zoom": [1, 1]}}
    rows = [
        diffusion.loss(model, schedule, *to_device(batch_at(i, test, fixed, schedule.T), device))
        for i in range(len(test) // fixed["train"]["batch"])
    ]
    return float(torch.cat(rows).mean())


def sample_sheet(model, schedule, test: np.ndarray, device: str, path: Path, steps: int = 25):
    """A PNG: rows are faces; columns are pairs (with the hole, filled) for each test family and the whole picture."""
    families = {**masks.FAMILIES, "whole": masks.whole}
    rng = np.random.default_rng(0)
    cells = []
    for face in test[:6]:
        for kind in families.values():
            cells.append((face, kind(rng, test.shape[1])[None]))
    x0, mask, _, noise = to_device(
        [
            torch.from_numpy(np.stack([c[0] for c in cells])),
            torch.from_numpy(np.stack([c[1] for c in cells])),
            torch.zeros(1),
            torch.randn(len(cells), 3, *test.shape[1:3], generator=torch.Generator().manual_seed(0)),
        ],
        device,
    )
    filled = diffusion.sample(model, schedule, x0, mask, noise, steps)
    pair = torch.cat([x0 * (1 - mask), filled], 3).permute(0, 2, 3, 1).cpu()
    pixels = ((pair + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    rows = [np.concatenate(pixels[i : i + len(families)], 1) for i in range(0, len(pixels), len(families))]
    Image.fromarray(np.concatenate(rows, 0)).save(path)


def plot(log: Path, path: Path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    figure, axes = plt.subplots(figsize=(8, 4))
    for key, style, label in [("loss", "-", "training (mean of 50)"), ("validation", "o-", "validation (EMA, fixed draws)")]:
        points = [(x["step"], x[key]) for x in lines if key in x]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=label)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def save(path: Path, **state):
    """Written beside, then renamed: a crash never leaves half a checkpoint."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.rename(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path, help="a folder of pictures, or one with manifest.csv (default: the config's)")
    parser.add_argument("--steps", type=int, help="in place of the config's")
    parser.add_argument("--run", type=Path, help="where checkpoints and logs go (default: runs/<id>)")
    parser.add_argument("--resume", type=Path, help="a checkpoint (default: last.pt of the run, if there is one)")
    parser.add_argument("--init", type=Path, help="start from the weights of an exported model's folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--every-minutes", type=float, default=10, help="between validations, sheets and checkpoints")
    args = parser.parse_args()

    config = load_config(args.config)
    if args.steps:
        config["train"]["steps"] = args.steps
    train, device = config["train"], args.device
    data = args.data or HERE / config["data"]
    run = args.run or HERE / "runs" / config["id"]
    run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(train["seed"])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True

    faces = load_faces(data, config["model"]["resolution"], "train")
    test = load_faces(data, config["model"]["resolution"], "test")
    model, schedule = build(config)
    model.to(device, memory_format=torch.channels_last)
    ema, optims, step = Ema(model, train["ema"]), optimisers(model, train["muon_lr"], train["adam_lr"]), 0
    base_lrs = [[g["lr"] for g in o.param_groups] for o in optims]

    resume = args.resume or (run / "last.pt" if (run / "last.pt").exists() else None)
    if resume:
        state = torch.load(resume, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        ema.shadow = state["ema"]
        for o, s in zip(optims, state["optimisers"], strict=True):
            o.load_state_dict(s)
        step = state["step"]
    elif args.init:
        from safetensors.torch import load_file

        weights = {k: v.float() for k, v in load_file(args.init / "weights.safetensors").items()}
        model.load_state_dict(weights)
        ema.shadow = {k: v.clone() for k, v in model.state_dict().items()}
    weights = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"{config['id']}: {weights:.2f} M weights, {len(faces)} faces, {device}, step {step} of {train['steps']}", flush=True)

    checkpoint = lambda name: save(  # noqa: E731
        run / name, step=step, config=config, model=model.state_dict(), ema=ema.shadow, optimisers=[o.state_dict() for o in optims]
    )
    stopping = []
    for s in (signal.SIGINT, signal.SIGTERM):
        signal.signal(s, lambda *_: stopping.append(True))

    autocast = torch.autocast(device.split(":")[0], torch.bfloat16) if args.precision == "bf16" else nullcontext()
    compiled = model if args.no_compile else torch.compile(model)
    log, recent, reported = run / "log.jsonl", [], time.time()
    decay_from = round(train["steps"] * (1 - train["decay"]))
    bar = tqdm(initial=step, total=train["steps"], unit="step", mininterval=10, dynamic_ncols=True)

    def report():
        with ema.applied(), torch.no_grad(), autocast:
            value = validate(model, schedule, test, config, device)
            sample_sheet(model, schedule, test, device, run / "samples.png")
        with log.open("a") as f:
            f.write(json.dumps({"step": step, "validation": round(value, 5), "time": round(time.time())}) + "\n")
        checkpoint("last.pt")
        plot(log, run / "loss.png")
        tqdm.write(f"step {step}: validation {value:.5f}")

    model.train()
    started, since = time.time(), step
    while step < train["steps"] and not stopping:
        if step == decay_from:
            checkpoint("before-decay.pt")
        torch.manual_seed(train["seed"] * 1_000_003 + step)  # dropout
        x0, mask, t, eps = to_device(batch_at(step, faces, config, schedule.T), device)
        with autocast:
            loss = diffusion.loss(compiled, schedule, x0, mask, t, eps).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), train["clip"])
        factor = learning_rate(step, train)
        for o, lrs in zip(optims, base_lrs, strict=True):
            for group, lr in zip(o.param_groups, lrs, strict=True):
                group["lr"] = lr * factor
            o.step()
            o.zero_grad(set_to_none=True)
        step += 1
        ema.update(step)
        recent.append(loss.detach())
        bar.update()
        if len(recent) == 50:
            mean = float(torch.stack(recent).mean())
            speed = (step - since) * train["batch"] / (time.time() - started)
            bar.set_postfix(loss=f"{mean:.4f}", images_s=f"{speed:.1f}")
            with log.open("a") as f:
                f.write(json.dumps({"step": step, "loss": round(mean, 5), "images_s": round(speed, 1), "time": round(time.time())}) + "\n")
            recent, started, since = [], time.time(), step
        if time.time() - reported > args.every_minutes * 60 and not stopping:
            report()
            reported = started = time.time()
            since = step
    bar.close()
    if stopping:
        checkpoint("last.pt")
        print(f"stopped and saved at step {step}: run the same command to go on")
    else:
        report()


if __name__ == "__main__":
    main()
