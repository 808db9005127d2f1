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

from files import temporary

MODELS = Path(__file__).parent.parent / "models"
CANDIDATES = ".candidates"
# As in src/model/card.ts. None of them can be a path that leads out of a folder.
ID, VERSION, FILE = "[a-z0-9][a-z0-9._-]*", "[0-9]+", "[A-Za-z0-9][A-Za-z0-9_.-]*"


def check_id(model_id):
    """Raise ValueError if the service does not accept this id of a model."""
    if not (isinstance(model_id, str) and re.fullmatch(ID, model_id)):
        raise ValueError(f"id must have lower-case letters, digits, '.', '_' and '-' only, and begin with a letter or digit; it is {model_id!r}")


def ref(card: dict) -> str:
    """<id>@<version> of a model card."""
    return f"{card['id']}@{card['version']}"


def check_card(card):
    """Raise ValueError if the id, the version or the files of a model card are not what the service accepts."""
    if not isinstance(card, dict):
        raise ValueError("it must be an object")
    check_id(card.get("id"))
    version, files = card.get("version"), card.get("files")
    if not (isinstance(version, str) and re.fullmatch(VERSION, version)):
        raise ValueError(f"version must be a whole number as text, not {version!r}")
    if not (isinstance(files, dict) and "unet.onnx" in files):
        raise ValueError("files must list unet.onnx")
    for name, file in files.items():
        if not re.fullmatch(FILE, name):
            raise ValueError(f"files must have plain names, not {name!r}")
        if not (isinstance(file, dict) and "sha256" in file):
            raise ValueError(f"files must give the sha256 of {name}")


def read_card(folder: Path) -> dict:
    """Read model.json and verify the digests of the files. Raises ValueError if it is missing or invalid, or a digest differs."""
    try:
        card = json.loads((folder / "model.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder} is not an exported model: {error}. Create one with export.py") from error
    try:
        check_card(card)
    except ValueError as error:
        raise ValueError(f"{folder / 'model.json'} is not a valid model card: {error}") from error
    for name, file in card["files"].items():
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
            raise ValueError(f"{path} is missing or does not match its digest in model.json: export the model again")
    return card


def opened_card(folder: Path) -> dict:
    """read_card for programs: exits with a sentence in place of a ValueError."""
    try:
        return read_card(folder)
    except ValueError as error:
        raise SystemExit(str(error)) from error


def trained_card(folder: Path) -> dict:
    """opened_card of a version that train.py has trained. Exits with a sentence for an imported one, which cannot be measured here."""
    card = opened_card(folder)
    if "weights.safetensors" not in card["files"]:
        raise SystemExit(f"{folder} has no weights.safetensors: only models that train.py has trained can be measured, no imported ones")
    return card


def versions(folder: Path) -> list[int]:
    """The version numbers in a model's folder, in ascending order."""
    return sorted(int(p.name) for p in folder.glob("*") if re.fullmatch(VERSION, p.name))


def next_version(models: Path, model_id: str) -> str:
    """The highest version number plus 1. Candidates count too, also refused ones, so no number is used twice.

    models: the folder that contains the models, or that of the candidates in it.
    """
    models = models.parent if models.name == CANDIDATES else models
    taken = versions(models / model_id) + versions(models / CANDIDATES / model_id)
    return str(max(taken, default=0) + 1)


@contextmanager
def new_version(out: Path, model_id: str, version: str, force: bool) -> Iterator[Path]:
    """A temporary folder that becomes <out>/<id>/<version> at the end; the service skips its name, which starts with a dot.

    Raises FileExistsError if the version exists and `force` is not given, OSError if another process makes it meanwhile, and ValueError if it
    is not a whole number or the id is invalid.
    """
    check_id(model_id)
    if not re.fullmatch(VERSION, version):
        raise ValueError(f"--version must be a whole number, not {version!r}")
    folder = out / model_id / version
    if folder.exists() and not force:
        raise FileExistsError(f"{folder} exists: choose another --version, or --force to replace it")
    # Names of their own: two exports at once choose the same version.
    part = temporary(folder)
    replaced = part.with_suffix(".old")
    part.mkdir(parents=True)
    try:
        yield part
        if folder.exists() and force:
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
