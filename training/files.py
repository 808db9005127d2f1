"""Writes files so that a crash, a full disk or another process never leaves an incomplete one."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file name in the folder of `path`, unique to this call. The file written there becomes `path` at the end, or is deleted on errors."""
    part = path.with_name(f".{path.name}.{uuid4().hex}")
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
