"""What an imported network costs, and whether its ONNX file computes the same."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from importing.source import RESAMPLING, STEPS, T_COMPARED, Source


@dataclass(frozen=True)
class Comparison:
    """The ONNX file against the source network, at the timesteps T_COMPARED."""

    difference: float  # largest absolute difference of an output
    scale: float  # largest absolute output of the source
    seconds: float  # of an evaluation of the ONNX file on all cores: the fastest of those compared


@torch.no_grad()
def gflop(source: Source) -> float:
    """Floating-point operations of one evaluation, in 1e9: two for each multiplication and addition of its products."""
    x = torch.zeros(1, 3, source.resolution, source.resolution)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # the counter does not know the others
        source.network(x, torch.zeros(1))
    return counter.get_total_flops() / 1e9


@torch.no_grad()
def compare(source: Source, onnx_file: Path) -> Comparison:
    """Evaluate the same noise with both, at each of T_COMPARED."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as the service sets it
    session = onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    difference, scale, seconds = 0.0, 0.0, float("inf")
    for t in T_COMPARED:
        x = torch.randn(1, 3, source.resolution, source.resolution, generator=generator)
        expected = source.network(x, torch.tensor([t])).numpy()
        started = time.perf_counter()
        (found,) = session.run(None, {"x": x.numpy(), "t": np.array([t], np.float32)})
        seconds = min(seconds, time.perf_counter() - started)
        # Python's max() would pass over a NaN.
        difference = float(np.maximum(difference, np.abs(found - expected).max()))
        scale = float(np.maximum(scale, np.abs(expected).max()))
    return Comparison(difference, scale, seconds)


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def repaint_evaluations(steps: int, jump: int, times: int) -> int:
    """Evaluations of RePaint's schedule: see repaintPlan in src/generation/trajectories/repaint.ts."""
    return steps + len(range(0, steps - jump, jump)) * (times - 1) * jump


def duration(seconds: float) -> str:
    """In words: "4 seconds", "about 5 minutes"."""
    if seconds < 90:
        return f"{seconds:.2g} seconds" if seconds < 10 else f"{seconds:.0f} seconds"
    return f"about {seconds / 60:.0f} minutes" if seconds < 5400 else f"about {seconds / 3600:.1f} hours"


def report(gflop: float, parameters: int, seconds: float, T: int) -> str:
    """What pictures will cost on this machine, as sentences."""
    steps = min(STEPS, T)
    fill = repaint_evaluations(steps, **RESAMPLING)
    return (
        f"{parameters / 1e6:.1f} M weights, {gflop:.3g} GFLOP an evaluation. On this machine ({usable_cores()} cores) an evaluation "
        f"takes {duration(seconds)}, a picture from noise {duration(steps * seconds)} ({steps} evaluations), "
        f"and filling a hole {duration(fill * seconds)} ({fill} evaluations)."
    )
