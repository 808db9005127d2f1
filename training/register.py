"""Put an exported version where the service finds it.

    python register.py ../models/.candidates/celeba-inpaint-64/3

Its files are held against their digests, and it is moved to ../models/<id>/<version> in one step. Folders whose name begins
with a dot are not served: a candidate can be evaluated there and refused. A service whose default is not pinned (promote does
that) serves the newest version from then on.
"""

import argparse
import hashlib
import json
import re
from pathlib import Path

MODELS = Path(__file__).parent.parent / "models"
CANDIDATES = ".candidates"


def read_card(folder: Path) -> dict:
    """model.json. Raises ValueError where there is none, or a file is not the one that it describes."""
    try:
        card = json.loads((folder / "model.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder} is no exported model: {error}; export.py makes one") from error
    for name, file in card["files"].items():
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
            raise ValueError(f"{path} is not the file that model.json describes: export it again")
    return card


def versions(folder: Path) -> list[int]:
    """Of a model's folder, in order."""
    return sorted(int(p.name) for p in folder.glob("*") if re.fullmatch("[0-9]+", p.name))


def next_version(models: Path, id: str) -> str:
    """One more than the last, candidates and refused ones included: a number is never used twice."""
    taken = versions(models / id) + versions(models / CANDIDATES / id)
    return str(max(taken, default=0) + 1)


def register(folder: Path, models: Path) -> Path:
    """Moves the version to models/<id>/<version>. Raises ValueError, or FileExistsError where there is one already."""
    card = read_card(folder)
    target = models / card["id"] / card["version"]
    if target.exists():
        raise FileExistsError(f"{target} exists: export with another --version")
    target.parent.mkdir(parents=True, exist_ok=True)
    return folder.rename(target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=Path, default=MODELS)
    args = parser.parse_args()
    try:
        print(register(args.folder, args.models))
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
