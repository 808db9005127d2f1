"""Refuse a version that is worse than the one that serves.

    python gate.py ../models/.candidates/celeba-inpaint-64/3                      # against what is promoted, else the newest
    python gate.py ../models/celeba-inpaint-64/3 --against ../models/celeba-inpaint-64/1

Compares the metrics of two cards (evaluate.py --write-card): every family of masks, one sample and the mean of several.
Exits with 1, a table and a sentence when one is worse by more than TOLERANCE.
"""

import argparse
import json
import re
from pathlib import Path

from register import CANDIDATES, read_card, versions

# How much worse a measure may be: what two trainings with other seeds differ by, seen on 606 faces.
TOLERANCE = {
    "l1": ("2 %", lambda now, new: new <= now * 1.02),
    "psnr": ("0.2 dB", lambda now, new: new >= now - 0.2),
    "frechet": ("10 %", lambda now, new: new <= now * 1.1),
}
# Measured alike is what has these in common; sampler and steps are the version's own.
ALIKE = ("faces", "candidates", "candidate_steps")


def current(models: Path, candidate: dict) -> Path | None:
    """The version to compare with: what serving.json gives most requests to, else the newest other one; None for the first."""
    serving = models / "serving.json"
    if serving.exists():
        parts, id = [], None
        for part in json.loads(serving.read_text())["default"].split(","):
            name, version, weight = re.fullmatch(r"([^@:]*)(?:@(\d+))?(?::([\d.]+))?", part.strip()).groups()
            id = name or id
            parts.append((float(weight or 1), id, version))
        _, id, version = max(parts, key=lambda part: part[0])
        if id == candidate["id"] and version and version != candidate["version"] and (models / id / version).exists():
            return models / id / version
    others = [v for v in versions(models / candidate["id"]) if str(v) != candidate["version"]]
    return models / candidate["id"] / str(others[-1]) if others else None


def compare(now: dict, new: dict) -> list[dict]:
    """A row for each measure of the current card's metrics. Raises ValueError where the two cannot be compared."""
    for card in (now, new):
        if not card["metrics"]:
            raise ValueError(f"{ref(card)} has not been measured: evaluate.py --write-card")
    how_now, how_new = now["metrics"]["how"], new["metrics"]["how"]
    for key in ALIKE:
        if how_now[key] != how_new[key]:
            raise ValueError(f"{key}: {how_now[key]} for {ref(now)}, {how_new[key]} for {ref(new)}: evaluate both alike")
    rows = []
    for family, measured in now["metrics"].items():
        if family == "how":
            continue
        if family not in new["metrics"]:
            raise ValueError(f"{ref(new)} was not measured on {family}: evaluate both alike")
        if measured["telea"] != new["metrics"][family]["telea"]:
            raise ValueError(f"{family}: Telea's figures differ, so the test pictures do: evaluate both on the same")
        for way in (way for way in measured if way != "telea"):
            for measure, value in measured[way].items():
                found = new["metrics"][family].get(way, {}).get(measure)
                if found is None:
                    raise ValueError(f"{ref(new)} has no {measure} of {way} on {family}: evaluate both alike")
                allowed, holds = TOLERANCE[measure]
                row = {"masks": family, "of": way, "measure": measure, "now": value, "new": found, "allowed": allowed}
                rows.append({**row, "holds": holds(value, found)})
    return rows


def table(rows: list[dict], now: dict, new: dict) -> str:
    head = ["masks", "of", "measure", ref(now), ref(new), "may be worse by", ""]
    cells = [[*(str(row[k]) for k in ("masks", "of", "measure", "now", "new", "allowed")), "ok" if row["holds"] else "WORSE"] for row in rows]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    lines = [head, ["-" * w for w in widths], *cells]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def ref(card: dict) -> str:
    return f"{card['id']}@{card['version']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the candidate")
    parser.add_argument("--against", type=Path, help="the version to compare with")
    parser.add_argument("--models", type=Path, help="where it is looked for (default: the folder that holds the candidate)")
    args = parser.parse_args()
    folder = args.folder.resolve()
    home = folder.parent.parent
    models = args.models or (home.parent if home.name == CANDIDATES else home)
    try:
        new = read_card(folder)
        against = args.against or current(models, new)
        if against is None:
            print(f"PASS: {ref(new)} is the first version of its kind; there is nothing that it could be worse than")
            return
        now = read_card(against)
        rows = compare(now, new)
    except ValueError as error:
        raise SystemExit(f"REFUSED: {error}") from error
    print(table(rows, now, new))
    worse = [row for row in rows if not row["holds"]]
    if worse:
        what = ", ".join(f"{row['measure']} of {row['of']} on {row['masks']} ({row['now']} to {row['new']})" for row in worse)
        raise SystemExit(f"REFUSED: {ref(new)} is worse than {ref(now)}: {what}. Train longer or with more data; {ref(now)} goes on serving.")
    print(f"PASS: {ref(new)} is not worse than {ref(now)}")


if __name__ == "__main__":
    main()
