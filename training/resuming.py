"""Where a training begins: at last.pt of its run, at the checkpoint of --resume, or at the weights of --init."""

import fcntl
import itertools
import os
import shutil
from pathlib import Path
from typing import IO

import torch

from register import read_card, ref

LAST, LOG, LOCK = "last.pt", "log.jsonl", ".lock"
PARTS = {
    "stage": lambda config: config.get("stage", "base"),
    "[model]": lambda config: config["model"],
    "[schedule]": lambda config: config["schedule"],
    "[loss] prediction": lambda config: config.get("loss", {}).get("prediction", "v"),
    "[distil]": lambda config: config.get("distil"),
    "[autoguidance]": lambda config: config.get("autoguidance"),
    "optimiser": lambda config: "Muon and AdamW" if config["train"]["muon_lr"] else "AdamW",
    "batch": lambda config: config["train"]["batch"],
    "seed": lambda config: config["train"]["seed"],
}
"""What a resumed training must have in common with its checkpoint. Learning rates, decay, mix, ema and the loss weights may change."""


def check(checkpoint: Path, config: dict, saved: dict):
    """Exit if the config saved in a checkpoint differs from `config` in one of PARTS."""
    for part, of in PARTS.items():
        if (here := of(config)) != (there := of(saved)):
            raise SystemExit(f"{checkpoint} was trained with another {part} ({there}, not {here}): choose another --run")


def check_pictures(checkpoint: Path, here: str | None, there: str | None):
    """Exit if a checkpoint was trained on other pictures, photographs of the mix aside.

    here, there: data.digest of both; the oldest checkpoints have none.
    """
    if here and there and here != there:
        raise SystemExit(f"{checkpoint} was trained on other pictures: choose another --run, or start from its exported version with --init")


def begin(training, given: Path | None, init: Path | None, target: dict):
    """Load the weights that a training begins with, if there are any.

    given: the checkpoint of --resume; init: the folder of --init; target: --steps and --minutes. A command with --resume that is
    repeated goes on from the last.pt that it has written. Otherwise the last.pt that it would overwrite is kept in a folder. Exits if
    --resume of another checkpoint leaves nothing to train. The run's own last.pt may be complete, so that a pipeline can be repeated: then
    no step is trained.
    """
    last = training.run / LAST
    branch = {"from": str(given.resolve()), **target} if given else None
    if last.exists() and (not given or given.resolve() == last.resolve() or saved(last).get("branch") == branch):
        if init:
            check_init(last, init)
        training.resume(last)
    elif given:
        training.resume(given)
        if training.progress(target["minutes"]) >= 1:
            spent = f"{training.step} steps in {training.seconds / 60:.1f} minutes"
            raise SystemExit(f"{given} has {spent}, so nothing is left to train: --steps and --minutes are totals, with those of the checkpoint")
        training.branch = branch
        if last.exists():
            keep(training.run)
    elif init:
        training.start_from(init)


def locked(run: Path) -> IO:
    """Reserve the folder of a run until the file that is returned is closed, or its process ends. Exits if another training has it.

    Prints a sentence where the file system has no locks.
    """
    lock = (run / LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SystemExit(f"another training writes to {run}: stop it, or choose another --run") from error
    except OSError as error:
        print(f"{run} cannot be locked ({error.strerror}): let no other training write to it")
    os.register_at_fork(after_in_child=lock.close)  # or the processes that draw batches would hold the lock after a kill of this one
    return lock


def saved(checkpoint: Path, device: str = "cpu", mmap: bool = True) -> dict:
    """A checkpoint of train.py. mmap: its tensors are read when they are used.

    Raises OSError if it cannot be read, MemoryError or torch.OutOfMemoryError if it does not fit, and ValueError if it is no checkpoint.
    """
    try:
        state = torch.load(checkpoint, map_location=device, weights_only=True, mmap=mmap)
    except (OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # torch.load raises many classes for other files
        raise ValueError(f"{checkpoint} is not a checkpoint of train.py: {error}") from error
    if not (isinstance(state, dict) and {"config", "step", "ema"} <= state.keys()):
        raise ValueError(f"{checkpoint} is not a checkpoint of train.py")
    return state


def name_of(folder: Path) -> str:
    """<id>@<version> of an exported version. Raises ValueError if it is none."""
    return ref(read_card(folder))


def check_init(last: Path, folder: Path):
    """Exit if last.pt did not start from the version of --init. The oldest checkpoints do not say where they started."""
    state, wanted = saved(last), name_of(folder)
    if "init" in state and state["init"] != wanted:
        raise SystemExit(f"{last} started from {state['init'] or 'new weights'}, not from {wanted}: choose another --run, or leave out --init")


def keep(run: Path):
    """Move last.pt to the next free folder <run>/branch-<n>, with a copy of its log, so that the folder can be exported."""
    folder = next(f for n in itertools.count(1) if not (f := run / f"branch-{n}").exists())
    folder.mkdir()
    if (run / LOG).exists():
        shutil.copyfile(run / LOG, folder / LOG)
    (run / LAST).rename(folder / LAST)
    print(f"the last.pt that was here is kept in {folder}")
