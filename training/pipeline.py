"""Train, export, evaluate and register a new model version. Prints each step as the command that runs it alone.

    python pipeline.py configs/celeba-64.toml                 # data check, train, export, evaluate, gate, check, register
    python pipeline.py configs/celeba-64.toml --promote       # also put the new version into service
    python pipeline.py configs/tiny.toml --faces 24 --threads 1

Unknown options are passed to train.py. The pipeline stops at the first step that fails; running the same command again resumes
the training from its last checkpoint. A version that the gate or the check refuses stays in models/.candidates/, which the service ignores.
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from config import load_config
from gate import current
from register import CANDIDATES, MODELS, next_version, read_card

HERE = Path(__file__).parent


def step(*command, **more):
    """Print and run a command in this folder. Exits if the command fails. more: arguments for subprocess.Popen."""
    print(f"\n$ {shlex.join(map(str, command))}", flush=True)
    child = subprocess.Popen([str(part) for part in command], cwd=HERE, **more)
    try:
        code = child.wait()
    except KeyboardInterrupt:
        child.wait()  # Ctrl-C reached the command too, and train.py saves after its step. subprocess.run would kill it after 0.25 s
        raise
    if code != 0:
        program = command[3] if command[0] == "npm" else Path(str(command[1])).name
        raise SystemExit(f"pipeline stopped: {program} failed with exit status {code}")


def settings_in_service(models: Path, candidate: dict) -> dict:
    """How the version was evaluated that the gate will compare the candidate with: it compares only what was measured alike.

    candidate: the id and the version of the new one. Exits if the other one is damaged.
    """
    try:
        against = current(models, candidate)
        how = read_card(against)["metrics"].get("how", {}) if against else {}
    except ValueError as error:
        raise SystemExit(str(error)) from error
    return {"candidates": 8, "candidate_steps": 4, **how}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a TOML file, see configs/")
    parser.add_argument("--data", type=Path, help="folder of pictures (default: from the config)")
    parser.add_argument("--photos", type=Path, help="folder of photographs (default: from the config)")
    parser.add_argument("--terms", help="terms of the pictures, for the model card (default: those of CelebA if their folder is called so)")
    parser.add_argument("--run", type=Path, help="folder for checkpoints and logs (default: runs/<id>)")
    parser.add_argument("--refiner", type=Path, help="the refiner of the new version: a checkpoint, or the folder of a version that has one")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder that contains the models")
    parser.add_argument("--faces", type=int, help="number of test faces for the evaluation (default: all)")
    parser.add_argument("--candidates", type=int, help="samples that the evaluation averages (default: as for the version in service, or 8)")
    parser.add_argument("--candidate-steps", type=int, help="sampler steps for each of these (default: as for that version, or 4)")
    parser.add_argument("--promote", action="store_true", help="put the new version into service")
    args, training = parser.parse_known_args()
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
    alike = settings_in_service(models, {"id": model_id, "version": version})
    measured = ["--candidates", args.candidates or alike["candidates"], "--candidate-steps", args.candidate_steps or alike["candidate_steps"]]
    refiner = ["--refiner", args.refiner.resolve()] if args.refiner else []
    terms = ["--terms", args.terms] if args.terms else []
    photos = ["--photos", args.photos.resolve()] if args.photos else []
    if args.faces:
        measured += ["--faces", args.faces]

    python = sys.executable
    try:
        step(python, "data.py", "--data", data, "--resolution", resolution)
        step(python, "train.py", args.config.resolve(), "--data", data, "--run", run, *photos, *training)
        of = ["--checkpoint", run / "last.pt", "--data", data, *photos, *terms, *refiner]
        step(python, "export.py", *of, "--out", candidates, "--version", version)
        step(python, "evaluate.py", candidate, "--data", data, *measured, "--out", run / "eval", "--no-sheet", "--write-card")
        step(python, "gate.py", candidate, "--models", models)
        step("npm", "run", "--silent", "check-model", "--", candidate)
        step(python, "register.py", candidate, "--models", models)
    except KeyboardInterrupt as stopped:
        raise SystemExit("stopped; run the same command to resume") from stopped
    promote = ["npm", "run", "--silent", "promote", "--", f"{model_id}@{version}"]
    if args.promote:
        step(*promote, env={**os.environ, "MODEL_DIR": str(models)})
    else:
        print(f"\nTo put it into service: {shlex.join(promote)}")


if __name__ == "__main__":
    main()
