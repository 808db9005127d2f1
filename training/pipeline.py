"""From pictures to a version that may serve, one command after the other; each is shown, and can be given alone.

    python pipeline.py configs/celeba-64.toml                 # data check, train, export, evaluate, gate, register
    python pipeline.py configs/celeba-64.toml --promote       # and make it what serves
    python pipeline.py configs/tiny.toml --faces 24 --threads 1

What is not named here goes to train.py. A step that fails ends the pipeline; the same command goes on with the training where
it stood. A version that the gate refuses stays in models/.candidates/, where no service looks.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from register import CANDIDATES, MODELS, next_version

HERE = Path(__file__).parent


def step(*command, **more):
    print(f"\n$ {shlex.join(map(str, command))}", flush=True)
    code = subprocess.run([str(part) for part in command], cwd=HERE, **more).returncode
    if code != 0:
        raise SystemExit(f"the pipeline ends here: {Path(str(command[1])).name} said {code}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path, help="pictures (default: the config's)")
    parser.add_argument("--run", type=Path, help="where checkpoints go (default: runs/<id>)")
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--faces", type=int, help="test pictures to evaluate on (default: all)")
    parser.add_argument("--candidates", type=int, default=8, help="of whose mean the evaluation tells")
    parser.add_argument("--candidate-steps", type=int, default=4)
    parser.add_argument("--promote", action="store_true")
    args, training = parser.parse_known_args()
    config = tomllib.loads(args.config.read_text())
    id, resolution = config["id"], config["model"]["resolution"]
    data = (args.data or HERE / config["data"]).resolve()
    run = (args.run or HERE / "runs" / id).resolve()
    models = args.models.resolve()
    candidates = models / CANDIDATES
    version = next_version(models, id)
    candidate = candidates / id / version
    measured = ["--candidates", args.candidates, "--candidate-steps", args.candidate_steps]
    if args.faces:
        measured += ["--faces", args.faces]

    python = sys.executable
    try:
        step(python, "data.py", "--data", data, "--resolution", resolution)
        step(python, "train.py", args.config.resolve(), "--data", data, "--run", run, *training)
        step(python, "export.py", "--checkpoint", run / "last.pt", "--data", data, "--out", candidates, "--version", version)
        step(python, "evaluate.py", candidate, "--data", data, *measured, "--out", run / "eval", "--no-sheet", "--write-card")
        step(python, "gate.py", candidate, "--models", models)
        step(python, "register.py", candidate, "--models", models)
    except KeyboardInterrupt as stopped:
        raise SystemExit("stopped; the same command goes on") from stopped
    promote = ["npm", "run", "--silent", "promote", "--", f"{id}@{version}"]
    if args.promote:
        step(*promote, env={**os.environ, "MODEL_DIR": str(models)})
    else:
        print(f"\nTo make it what serves: {shlex.join(promote)}")


if __name__ == "__main__":
    main()
