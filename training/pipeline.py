"""Train, export, evaluate and register a new model version. Prints each step as the command that runs it alone.

    python pipeline.py configs/tiny.toml --faces 24 --threads 1    # data check, train, export, evaluate, gate, check, register
    python pipeline.py configs/celeba-64.toml --refiner ../models/celeba-inpaint-64/6
    python pipeline.py configs/celeba-64.toml --refiner ../models/celeba-inpaint-64/6 --promote    # also put the new version into service

If the version in service has a refiner, the new one needs one too: --refiner takes that of a version, or a checkpoint.
Unknown options are passed to train.py. The pipeline stops at the first step that fails; running the same command again resumes
the training from its last checkpoint. A version that the gate or the check refuses stays in models/.candidates/, which the service ignores; an
interrupted pipeline removes its version from there, and the next run exports it again under the same number.
"""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import torch

from arguments import positive, several
from config import load_config
from export import refiner_of
from gate import current
from register import CANDIDATES, MODELS, next_version, read_card, ref

HERE = Path(__file__).parent


def step(*command, **more):
    """Print and run a command in this folder. Exits if the command fails. more: arguments for subprocess.Popen."""

    def terminate(*_):
        child.terminate()  # unlike Ctrl-C, SIGTERM reached this process alone
        raise KeyboardInterrupt

    print(f"\n$ {shlex.join(map(str, command))}", flush=True)
    child = subprocess.Popen([str(part) for part in command], cwd=HERE, **more)
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        code = child.wait()
    except KeyboardInterrupt:
        child.wait()  # Ctrl-C reached the command too, and train.py saves after its step. subprocess.run would kill it after 0.25 s
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if code != 0:
        program = command[3] if command[0] == "npm" else Path(str(command[1])).name
        raise SystemExit(f"pipeline stopped: {program} failed with exit status {code}")


def settings(against: dict, given: dict) -> list:
    """The options of evaluate.py for a version that the gate will compare with this one: it compares only what was measured alike.

    against: a model card, or {}; given: faces, candidates and candidate_steps of the command, or None. Exits if these differ from
    those of `against`, or if this machine cannot measure so.
    """
    how = against.get("metrics", {}).get("how", {})
    for key, value in given.items():
        if value is not None and value != how.get(key, value):
            raise SystemExit(f"{ref(against)} was evaluated with {key} {how[key]}, not {value}, and the gate compares only what was measured alike")
    if how.get("device") == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"{ref(against)} was evaluated with CUDA, which is missing here: first run evaluate.py on it with --device cpu --write-card")
    how = {"candidates": 8, "candidate_steps": 4, **{key: value for key, value in given.items() if value is not None}, **how}
    return [part for key in (*given, "device") if key in how for part in (f"--{key.replace('_', '-')}", how[key])]


def check_refiner(args: argparse.Namespace, against: dict):
    """Raise ValueError or OSError if the gate would refuse a version without a refiner, or export.py the one of --refiner.

    args: including those of export.py about a refiner and its pictures; against: the card of the version in service, or {}.
    """
    if "refiner" in against and args.refiner is None:
        raise ValueError(f"{ref(against)} has a refiner, so a new version needs one: give --refiner, a checkpoint or the folder of {ref(against)}")
    refiner_of(args)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a TOML file, see configs/")
    parser.add_argument("--data", type=Path, help="folder of pictures (default: from the config)")
    parser.add_argument("--photos", type=Path, help="folder of photographs (default: from the config)")
    parser.add_argument("--terms", help="terms of the pictures, for the model card (default: those of CelebA if their folder is called so)")
    parser.add_argument("--run", type=Path, help="folder for checkpoints and logs (default: runs/<id>)")
    parser.add_argument("--refiner", type=Path, help="the refiner of the new version: a checkpoint, or the folder of a version that has one")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder that contains the models")
    parser.add_argument("--faces", type=several, help="number of test faces for the evaluation (default: as for the version in service, or all)")
    parser.add_argument("--candidates", type=positive, help="samples that the evaluation averages (default: as for that version, or 8)")
    parser.add_argument("--candidate-steps", type=positive, help="sampler steps for each of these (default: as for that version, or 4)")
    parser.add_argument("--promote", action="store_true", help="put the new version into service")
    args, training = parser.parse_known_args()
    given = {key: getattr(args, key) for key in ("faces", "candidates", "candidate_steps")}
    config = load_config(args.config)
    if config["stage"] == "refiner":
        raise SystemExit(f"{args.config} trains a refiner, which is no version of its own: use train.py, and --refiner for the checkpoint")
    model_id, resolution = config["id"], config["model"]["resolution"]
    data = (args.data or HERE / config["data"]).resolve()
    run = (args.run or HERE / "runs" / model_id).resolve()
    models = args.models.resolve()
    candidates = models / CANDIDATES
    version = next_version(models, model_id)
    candidate = candidates / model_id / version
    try:
        folder = current(models, {"id": model_id, "version": version})
        against = read_card(folder) if folder else {}
        check_refiner(args, against)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    measured = settings(against, given)
    refiner = ["--refiner", args.refiner.resolve()] if args.refiner else []
    terms = ["--terms", args.terms] if args.terms else []
    photos = ["--photos", args.photos.resolve()] if args.photos else []

    python = sys.executable
    try:
        step(python, "data.py", "--data", data, "--resolution", resolution, "--least-test", 2)
        step(python, "train.py", args.config.resolve(), "--data", data, "--run", run, *photos, *training)
        pictures = ["--data", data] if args.data else []  # or each checkpoint names its own: a refiner may have other pictures
        of = ["--checkpoint", run / "last.pt", *pictures, *photos, *terms, *refiner]
        step(python, "export.py", *of, "--out", candidates, "--version", version)
        try:
            step(python, "evaluate.py", candidate, "--data", data, *measured, "--out", run / "eval", "--no-sheet", "--write-card")
            step(python, "gate.py", candidate, "--models", models)
            step("npm", "run", "--silent", "check-model", "--", candidate)
            step(python, "register.py", candidate, "--models", models)
        except KeyboardInterrupt:
            shutil.rmtree(candidate, ignore_errors=True)  # it would take its number from the next run
            raise
    except KeyboardInterrupt as stopped:
        raise SystemExit("stopped; run the same command to resume") from stopped
    promote = ["npm", "run", "--silent", "promote", "--", f"{model_id}@{version}"]
    if args.promote:
        step(*promote, env={**os.environ, "MODEL_DIR": str(models)})
    else:
        elsewhere = "" if models == MODELS.resolve() else f"MODEL_DIR={shlex.quote(str(models))} "
        print(f"\nTo put it into service: {elsewhere}{shlex.join(promote)}")


if __name__ == "__main__":
    main()
