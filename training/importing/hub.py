"""Downloads pipeline folders from the Hugging Face hub, if huggingface_hub is installed."""

import re
from pathlib import Path

from importing.source import UnsupportedModel

SETTINGS = ["*.json", "README.md"]
WEIGHTS = ["*diffusion_pytorch_model*.safetensors"]
OLD_WEIGHTS = ["*diffusion_pytorch_model*.bin"]


def folder_of(name: str) -> Path:
    """A folder of this name, or the local copy of the hub's repository of this name (owner/model), which it downloads.

    Raises UnsupportedModel with a sentence when there is neither.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UnsupportedModel(f"{name} is not a folder, and not the id of a model on the hub (owner/model).")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise UnsupportedModel(f"{name} is not a folder; to download it from the hub, install huggingface_hub.") from error
    try:
        copy = Path(snapshot_download(name, allow_patterns=SETTINGS + WEIGHTS))
        if not list(copy.rglob("*.safetensors")):
            copy = Path(snapshot_download(name, allow_patterns=SETTINGS + OLD_WEIGHTS))
    except Exception as error:  # of the network, of the hub, or of a disk: the library has many classes
        raise UnsupportedModel(f"{name} is not a folder, and it cannot be downloaded from the hub: {error}") from error
    return copy
