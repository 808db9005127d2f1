"""Reject a new version if it is worse than the version in service.

    python gate.py ../models/.candidates/celeba-inpaint-64/3                      # compare with the promoted, or else the newest version
    python gate.py ../models/celeba-inpaint-64/3 --against ../models/celeba-inpaint-64/1

Compares the metrics in two model cards (written by evaluate.py --write-card), for every family of masks: the Frechet distance
of one sample, and L1 and PSNR of the mean of several. L1 and PSNR of one sample are not compared, because they are best for a
blur. Instead, the sharpness of samples must lie within SHARPNESS. If any metric is worse by more than TOLERANCE, or a sharpness
is not accepted, prints a table and an error, and exits with status 1.
"""

import argparse
import json
import os
import re
from pathlib import Path

from register import CANDIDATES, read_card, ref, versions

# Sharpness of samples that is accepted, as a share of the originals': below it fills are blurred, above it they are noisy.
SHARPNESS = (0.85, 1.1)
# How much worse a metric may be: the differences seen between two trainings with different seeds, on 606 faces.
TOLERANCE = {
    "l1": ("2 %", lambda now, new: new <= now * 1.02),
    "psnr": ("0.2 dB", lambda now, new: new >= now - 0.2),
    "frechet": ("10 %", lambda now, new: new <= now * 1.1),
}
# These evaluation settings must be equal in both cards. Sampler and steps may differ: each version has its own defaults.
ALIKE = ("faces", "candidates", "candidate_steps")
# And these, where both cards have them: older cards do not.
COMPUTED = ("device", "precision")


def current(models: Path, candidate: dict) -> Path | None:
    """The folder of the version to compare with: the one with the largest share in the serving file, else the newest other version.

    The serving file is that of npm run promote: SERVING_FILE, or serving.json in `models`. None if there is no other version.
    candidate: the model card of the new version.
    """
    serving = Path(os.environ.get("SERVING_FILE") or models / "serving.json")
    if serving.exists():
        parts, model_id = [], None
        for part in json.loads(serving.read_text())["default"].split(","):
            name, version, weight = re.fullmatch(r"([^@:]*)(?:@(\d+))?(?::([\d.]+))?", part.strip()).groups()
            model_id = name or model_id
            parts.append((float(weight or 1), model_id, version))
        _, model_id, version = max(parts, key=lambda part: part[0])
        if model_id == candidate["id"] and version and version != candidate["version"] and (models / model_id / version).exists():
            return models / model_id / version
    others = [v for v in versions(models / candidate["id"]) if str(v) != candidate["version"]]
    return models / candidate["id"] / str(others[-1]) if others else None


def compare(now: dict, new: dict) -> list[dict]:
    """A row for each metric that is compared: masks, of, measure, now, new, allowed, holds. now is None where it was not measured.

    now, new: the two model cards. Raises ValueError if they cannot be compared, or if the new one lacks a refiner that the current one has.
    """
    for card in (now, new):
        if not card["metrics"]:
            raise ValueError(f"{ref(card)} has no metrics: run evaluate.py --write-card on it")
    if "refiner" in now and "refiner" not in new:
        raise ValueError(f"{ref(new)} has no refiner, but {ref(now)} has one: export it with --refiner <checkpoint, or folder of {ref(now)}>")
    before, after = now["metrics"], new["metrics"]
    computed = (key for key in COMPUTED if key in before["how"] and key in after["how"])
    no_mean = before["how"]["candidates"] == after["how"]["candidates"] == 1  # so candidate_steps has no effect
    for key in (*(key for key in ALIKE if not (no_mean and key == "candidate_steps")), *computed):
        if before["how"][key] != after["how"][key]:
            raise ValueError(
                f"{key} is {before['how'][key]} for {ref(now)} but {after['how'][key]} for {ref(new)}: evaluate both with the same settings"
            )
    rows = []
    for family, measured in before.items():
        if family == "how":
            continue
        if family not in after:
            raise ValueError(f"{ref(new)} has no metrics for {family} masks: evaluate both with the same settings")
        if compared(measured["telea"]) != compared(after[family]["telea"]):
            raise ValueError(f"{family}: the results of Telea differ, so the test pictures differ: evaluate both on the same pictures")
        for way in (way for way in measured if way != "telea"):
            for measure, value in compared(measured[way]).items():
                if way == "sample" and measure in ("l1", "psnr"):
                    continue
                found = after[family].get(way, {}).get(measure)
                if found is None:
                    raise ValueError(f"{ref(new)} has no {measure} of {way} for {family} masks: evaluate both with the same settings")
                allowed, holds = TOLERANCE[measure]
                row = {"masks": family, "of": way, "measure": measure, "now": value, "new": found, "allowed": allowed}
                rows.append({**row, "holds": holds(value, found)})
        if "sharpness" not in after[family]["sample"]:
            raise ValueError(f"{ref(new)} has no sharpness of sample for {family} masks: evaluate it again")
        found = after[family]["sample"]["sharpness"]
        if found is not None:
            row = {"masks": family, "of": "sample", "measure": "sharpness", "now": measured["sample"].get("sharpness"), "new": found}
            rows.append({**row, "allowed": "{} to {}".format(*SHARPNESS), "holds": is_sharp(found)})
    return rows


def compared(measures: dict) -> dict:
    """Those of the measures that have a tolerance. Cards have others too: sharpness, and the extrapolated Frechet distance in newer ones."""
    return {measure: value for measure, value in measures.items() if measure in TOLERANCE}


def is_sharp(found: float) -> bool:
    """Whether the sharpness of samples, as a share of the originals', is accepted."""
    low, high = SHARPNESS
    return low <= found <= high


def table(rows: list[dict], now: dict, new: dict) -> str:
    """The rows of `compare` as a Markdown table."""
    head = ["masks", "result", "metric", ref(now), ref(new), "allowed", ""]
    keys = ("masks", "of", "measure", "now", "new", "allowed")
    cells = [["" if row[k] is None else str(row[k]) for k in keys] + ["ok" if row["holds"] else "FAIL"] for row in rows]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    lines = [head, ["-" * w for w in widths], *cells]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def reason(row: dict) -> str:
    """Why a row of `compare` does not hold."""
    what = f"{row['measure']} of {row['of']} on {row['masks']} masks is {row['new']}"
    return f"{what}, accepted {row['allowed']}" if row["measure"] == "sharpness" else f"{what}, worse than {row['now']} by more than {row['allowed']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the new version")
    parser.add_argument("--against", type=Path, help="folder of the version to compare with (default: see above)")
    parser.add_argument("--models", type=Path, help="folder in which that version is looked up (default: the one that contains the new version)")
    args = parser.parse_args()
    folder = args.folder.resolve()
    home = folder.parent.parent
    models = args.models or (home.parent if home.name == CANDIDATES else home)
    try:
        new = read_card(folder)
        against = args.against or current(models, new)
        if against is None:
            print(f"PASS: {ref(new)} is the first version of this model; there is none to compare it with")
            return
        now = read_card(against)
        rows = compare(now, new)
    except ValueError as error:
        raise SystemExit(f"REFUSED: {error}") from error
    print(table(rows, now, new))
    if failed := [row for row in rows if not row["holds"]]:
        raise SystemExit(f"REFUSED: {', '.join(map(reason, failed))}. {ref(now)} stays in service. Train longer or on more data.")
    print(f"PASS: {ref(new)} is not worse than {ref(now)}, and its sharpness is accepted")


if __name__ == "__main__":
    main()
