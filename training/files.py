"""Writes files so that a crash, a full disk or another process never leaves an incomplete one under its name."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

STALE = 24 * 3600  # seconds


def temporary(path: Path) -> Path:
    """A new name in the folder of `path`, unique to this call, from which the file or folder is renamed when it is complete.

    Removes temporary files and folders that were last written more than a day ago: a process that was killed left them.
    """
    for part in path.parent.glob(".*.part"):
        with suppress(OSError):  # another process removed it, or it is another user's
            if time.time() - part.stat().st_mtime > STALE:
                shutil.rmtree(part) if part.is_dir() else part.unlink()
    return path.with_name(f".{path.name}.{uuid4().hex}.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file name. The file written there becomes `path` at the end, or is deleted on errors."""
    part = temporary(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str):
    """Replace the contents of a text file in one step."""
    with replacing(path) as part:
        part.write_text(text)


def write_json(path: Path, value):
    """Replace a JSON file in one step."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def kept(path: Path) -> dict:
    """The results that a JSON file keeps; {} if it is missing or damaged: they are measured again."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
