"""Reads the log of a training run."""

import json
from pathlib import Path

PAUSE_SECONDS = 600  # a longer gap between two log lines means that the run was interrupted


def summary(log: Path, step: int) -> dict:
    """Hours of training, without interruptions, and the last validation loss up to `step`, from a run's log.jsonl; {} if it is missing."""
    if not log.exists():
        return {}
    lines = [line for line in map(json.loads, log.read_text().splitlines()) if line["step"] <= step]
    seconds = sum(gap for a, b in zip(lines, lines[1:], strict=False) if 0 < (gap := b["time"] - a["time"]) < PAUSE_SECONDS)
    validations = [line["validation"] for line in lines if "validation" in line]
    return {"hours": round(seconds / 3600, 2), **({"validation_loss": validations[-1]} if validations else {})}


def took(training: dict) -> str:
    """ ", 6 minutes on an NVIDIA H200" or ", 3.1 hours": how long the training in a model card took; "" if the card does not say."""
    if "hours" not in training:
        return ""
    hours = training["hours"]
    minutes = round(60 * hours)
    time = f"{hours:.1f} hours" if hours >= 1 else f"{minutes} minute" + "s" * (minutes != 1)
    return f", {time}" + (f" on an {training['device']}" if "device" in training else "")
