"""Reads the log of a training run."""

import json
from contextlib import suppress
from pathlib import Path

PAUSE_SECONDS = 600  # a longer gap between two log lines means that the run was interrupted


def read(log: Path) -> list[dict]:
    """The lines of a run's log.jsonl; [] if it is missing. Those that a crash or a full disk has cut off are left out."""
    lines = []
    for text in log.read_text(errors="replace").splitlines() if log.exists() else []:
        with suppress(json.JSONDecodeError):
            lines.append(json.loads(text))
    return [line for line in lines if isinstance(line, dict) and "step" in line]


def summary(log: Path, step: int, seconds: float | None = None) -> dict:
    """Hours of training, and the last validation loss up to `step` in a run's log.jsonl; {} if neither is known.

    seconds: of training, from the checkpoint. Checkpoints that lack it are old: their hours are estimated from the times in the log.
    """
    lines = [line for line in read(log) if line["step"] <= step]
    if seconds is None and lines:
        seconds = sum(gap for a, b in zip(lines, lines[1:], strict=False) if 0 < (gap := b["time"] - a["time"]) < PAUSE_SECONDS)
    validations = [line["validation"] for line in lines if "validation" in line]
    hours = {} if seconds is None else {"hours": round(seconds / 3600, 2)}
    return {**hours, **({"validation_loss": validations[-1]} if validations else {})}


def took(training: dict) -> str:
    """ ", 6 minutes on an NVIDIA H200" or ", 3.1 hours": how long the training in a model card took; "" if the card does not say."""
    if "hours" not in training:
        return ""
    hours = training["hours"]
    minutes = round(60 * hours)
    time = f"{hours:.1f} hours" if hours >= 1 else f"{minutes} minute" + "s" * (minutes != 1)
    return f", {time}" + (f" on an {training['device']}" if "device" in training else "")
