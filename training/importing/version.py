"""Writes an imported network as a model version that the service can load."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

from importing.measure import compare, gflop, report
from importing.onnx_export import EXTERNAL_FROM_BYTES, write_onnx
from importing.source import STEPS, Source, UnsupportedModel
from onnx_files import TOLERANCE, listed
from register import ID, new_version

HALVED_FROM_BYTES = 500_000_000  # networks with more bytes of fp32 weights are stored as fp16
FP32_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Description:
    """What the importer's user says about the model."""

    id: str
    version: str
    licence: str
    source: str  # where it comes from, for people to read


def write_version(
    source: Source,
    about: Description,
    out: Path,
    force: bool = False,
    halved_from: int = HALVED_FROM_BYTES,
    external_from: int = EXTERNAL_FROM_BYTES,
) -> tuple[Path, str]:
    """Write <out>/<id>/<version>, and return it with a report for people to read.

    The network is compared with its source first. Raises FileExistsError if the version exists and `force` is not given,
    and UnsupportedModel if the outputs differ or the service could not load the version.
    """
    if not re.fullmatch(ID, about.id):
        raise UnsupportedModel(f"--id {about.id}: use lower-case letters, digits, dots, hyphens and underscores.")
    with new_version(out, about.id, about.version, force) as part:
        parameters = sum(p.numel() for p in source.network.parameters())
        halved = 4 * parameters > halved_from
        files = write_onnx(source, part / "unet.onnx", halved, external_from)
        compared = compare(source, files[0])
        if not math.isfinite(compared.scale):
            raise UnsupportedModel("its outputs are not finite: its weights are damaged.")
        allowed = (TOLERANCE if halved else FP32_TOLERANCE) * max(1.0, compared.scale)
        if not compared.difference <= allowed:
            raise UnsupportedModel(
                f"the exported network differs from its source by {compared.difference:.2g}, more than {allowed:.2g}: not written."
            )
        operations = gflop(source)
        costs = report(operations, parameters, compared.seconds, source.schedule["T"])
        card = model_card(source, about, halved, compared.difference, operations, parameters, files)
        (part / "README.md").write_text(readme(card, costs))
        (part / "model.json").write_text(json.dumps(card, indent=2) + "\n")
    return out / about.id / about.version, f"{costs} It differs from its source by {compared.difference:.1g} at most."


def model_card(source: Source, about: Description, halved: bool, difference: float, operations: float, parameters: int, files: list[Path]) -> dict:
    """The contents of model.json: see docs/models.md."""
    return {
        "id": about.id,
        "version": about.version,
        "description": f"Unconditional DDPM at {source.resolution} px, imported from {about.source}. Fills holes with RePaint.",
        "licence": about.licence,
        "conditioning": "none",
        "resolution": source.resolution,
        "in_channels": 3,
        "out_channels": source.out_channels,
        "prediction": source.prediction,
        "schedule": source.schedule,
        "defaults": {"sampler": "ddim", "steps": min(STEPS, source.schedule["T"]), "eta": 0},
        "sampling": source.sampling(),
        "data": {"name": f"See {about.source}", "terms": f"See {about.source}"},
        "training": {"imported_from": about.source, "kind": source.kind, "weights": parameters, "gflop_per_evaluation": round(operations, 3)},
        "metrics": {},
        "precision": {"weights": "fp16" if halved else "fp32", "max_difference": float(f"{difference:.2g}")},
        "files": listed(files),
    }


def readme(card: dict, costs: str) -> str:
    """The README.md of a version."""
    sampling, schedule = card["sampling"], card["schedule"]
    clips = "clipped to -1..1" if sampling["clip"] else "not clipped"
    return f"""# {card["id"]}, version {card["version"]}

{card["description"]}

| | |
| --- | --- |
| source | {card["training"]["imported_from"]} ({card["training"]["kind"]}) |
| licence | {card["licence"]} |
| prediction | {card["prediction"]}, {sampling["variance"]} variance, estimates of x_0 {clips} |
| schedule | {schedule["type"]}, T = {schedule["T"]}; timesteps: {sampling["spacing"]} |
| weights | stored as {card["precision"]["weights"]}; outputs differ from the source by {card["precision"]["max_difference"]} at most |

{costs}

Its quality was not measured here. The licence and the terms of the training data are those of the source.
"""
