"""Move an exported version to the folder from which the service loads models.

    python register.py ../models/.candidates/celeba-inpaint-64/3

Verifies the digests of its files, and moves it to ../models/<id>/<version> with one rename. The service ignores folders whose
names start with a dot, so candidates can be evaluated there. Unless a version was promoted (npm run promote), the service uses
the newest one.
"""

import argparse
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODELS = Path(__file__).parent.parent / "models"
CANDIDATES = ".candidates"


def read_card(folder: Path) -> dict:
    """Read model.json and verify the digests of the files. Raises ValueError if it is missing or invalid, or a digest differs."""
    try:
        card = json.loads((folder / "model.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder} is not an exported model: {error}. Create one with export.py") from error
    for name, file in card["files"].items():
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
            raise ValueError(f"{path} is missing or does not match its digest in model.json: export the model again")
    return card


def versions(folder: Path) -> list[int]:
    """The version numbers in a model's folder, in ascending order."""
    return sorted(int(p.name) for p in folder.glob("*") if re.fullmatch("[0-9]+", p.name))


def next_version(models: Path, model_id: str) -> str:
    """The highest version number plus 1. Candidates count too, also refused ones, so no number is used twice."""
    taken = versions(models / model_id) + versions(models / CANDIDATES / model_id)
    return str(max(taken, default=0) + 1)


@contextmanager
def new_version(out: Path, model_id: str, version: str, force: bool) -> Iterator[Path]:
    """A temporary folder that becomes <out>/<id>/<version> at the end; the service skips its name, which starts with a dot.

    Raises FileExistsError if the version exists and `force` is not given, and ValueError if it is not a whole number.
    """
    if not re.fullmatch("[0-9]+", version):
        raise ValueError(f"--version must be a whole number, not {version!r}")
    folder = out / model_id / version
    if folder.exists() and not force:
        raise FileExistsError(f"{folder} exists: choose another --version, or --force to replace it")
    part, replaced = folder.with_name(f".{version}.part"), folder.with_name(f".{version}.old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            folder.rename(replaced)
        part.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def register(folder: Path, models: Path) -> Path:
    """Move a version to models/<id>/<version> and return its new folder.

    Raises ValueError if a file does not match its digest, FileExistsError if the version exists already.
    """
    card = read_card(folder)
    target = models / card["id"] / card["version"]
    if target.exists():
        raise FileExistsError(f"{target} already exists: export with another --version")
    target.parent.mkdir(parents=True, exist_ok=True)
    return folder.rename(target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the exported version")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder that contains the models")
    args = parser.parse_args()
    try:
        print(register(args.folder, args.models))
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
