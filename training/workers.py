"""Draws the batches of a training, in processes of their own if there are any."""

import os
import signal
import sys
from collections.abc import Iterator
from threading import Thread

import torch
from torch.utils.data import DataLoader, Dataset

from batches import Sources


def drawn(stage, sources: Sources, first: int, workers: int, pinned: bool) -> Iterator[list[torch.Tensor]]:
    """The batches of a stage from step `first` on, without end, drawn by this many processes (0: by this one, when needed).

    pinned: from these processes, in memory from which a GPU copies faster.
    """
    options = {"num_workers": workers, "prefetch_factor": 4, "pin_memory": pinned, "worker_init_fn": ignore_interrupts} if workers else {}
    return iter(DataLoader(Steps(stage, sources), batch_size=None, sampler=range(first, sys.maxsize), **options))


class Steps(Dataset):
    """The batches of a stage, by step: what a DataLoader's processes draw from."""

    def __init__(self, stage, sources: Sources):
        self.stage, self.sources = stage, sources

    def __getitem__(self, step: int) -> list[torch.Tensor]:
        return self.stage.draw(self.sources, step)


def ignore_interrupts(_worker: int):
    """Ctrl-C, timeout and Slurm signal all processes of a group: those that draw batches leave it to the training to stop.

    The SIGTERM with which the training itself ends them still does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # for the thread, which learns who sent it
    Thread(target=end_with_parent, daemon=True).start()


def end_with_parent():
    """End this process when its parent sends it SIGTERM. It must be blocked in all threads."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
