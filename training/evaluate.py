"""Measure how well an exported model fills holes, compared with OpenCV's Telea method on the same masks.

    python evaluate.py ../models/celeba-inpaint-64/1                       # on the whole test split
    python evaluate.py ../models/celeba-inpaint-64/1 --faces 48            # quick estimate
    python evaluate.py ../models/celeba-inpaint-64/1 --write-card          # also write the results to the model card
    python evaluate.py ../models/celeba-inpaint-64/1 --spacing log_snr --final-timestep 8   # as with other fields in the card

For each of the four families of masks (masks.FAMILIES), this measures the L1 distance (of 255) and the PSNR over the hole,
for one sample and for the mean of several candidates. For one sample it also measures the sharpness of the fills as a share
of the originals', and the Frechet distance between 128-d face descriptors of the results and of the originals. That distance
is biased upwards for sets of this size, so it is also extrapolated to infinitely many faces (scores.frechet_extrapolated).
Every face has a noise seed of its own, derived from its index: fills that share their noise resemble each other, which would
distort a distance between sets. Results are saved after each family, and an interrupted run resumes from there.

The results are written to eval/<id>@<version>/: metrics.json, table.md and sheet.png; those of finished families to eval/ itself.
Do not publish the sheet: it contains pictures of the data set.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

import diffusion
import masks
from arguments import names, positive, several
from data import digest, loaded
from files import kept, write_json, write_text
from gate import SHARPNESS, is_sharp
from inference import Sampler, computed_by
from register import trained_card
from scores import descriptors, frechet, frechet_extrapolated, score, sharpness
from terms import is_celeba, pictures_of

HERE = Path(__file__).parent
TELEA_RADIUS = 3
NAMES = {"thin": "thin strokes", "wide": "wide strokes", "box": "centre box", "half": "a random half"}
# Maximum Frechet distance of one sample, relative to that of Telea.
FRECHET_SHARE = {"box": 0.2, "wide": 0.4, "half": 0.4}


def telea(face: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole filled by OpenCV's Telea method (Telea 2004). face and result: uint8 [R, R, 3]; hole: bool [R, R]."""
    return cv2.inpaint(np.ascontiguousarray(face), hole.astype(np.uint8) * 255, TELEA_RADIUS, cv2.INPAINT_TELEA)


def evaluate(sampler: Sampler, faces: np.ndarray, families: list[str], candidates: int, candidate_steps: int, keep: Path) -> dict:
    """{family: {"telea", "sample", "mean_of_<candidates>"}}, each with its scores. faces: uint8 [N, R, R, 3].

    keep: a JSON file for intermediate results; families that it already contains are not measured again.
    """
    size, n = faces.shape[1], len(faces)
    reference = descriptors(faces)
    metrics = kept(keep)
    steps, several = sampler.steps, candidates if candidates > 1 else 0
    todo = [f for f in families if f not in metrics]
    rows = n * len(todo) * (steps + several * candidate_steps)
    bar = tqdm(total=rows, unit="row", unit_scale=True, mininterval=10)
    for family in todo:
        rngs = [np.random.default_rng([7, i]) for i in range(n)]
        holes = np.stack([masks.FAMILIES[family](rng, size) for rng in rngs])
        baseline = np.stack([telea(face, hole) for face, hole in zip(faces, holes, strict=True)])
        sampler.steps = steps
        sample = sampler.fill(faces, holes, [1000 * i for i in range(n)], bar)
        share = sharpness(sample, faces, holes)
        metrics[family] = {
            "telea": {**score(baseline, faces, holes), **distances(descriptors(baseline), reference)},
            "sample": {
                **score(sample, faces, holes),
                **distances(descriptors(sample), reference),
                "sharpness": share and round(share, 3),
            },
        }
        if several:
            sampler.steps = candidate_steps
            total = sum(sampler.fill(faces, holes, [1000 * i + c for i in range(n)], bar).astype(np.float64) for c in range(candidates))
            metrics[family][f"mean_of_{candidates}"] = score(total / candidates, faces, holes)
        write_json(keep, metrics)
    bar.close()
    sampler.steps = steps
    return metrics


def distances(found: np.ndarray, reference: np.ndarray) -> dict:
    """{"frechet"} between descriptors [N, 128] of fills and of originals, and "frechet_extrapolated" where there are enough, rounded."""
    extrapolated = frechet_extrapolated(found, reference)
    more = {} if extrapolated is None else {"frechet_extrapolated": round(extrapolated, 5)}
    return {"frechet": round(frechet(found, reference), 5), **more}


def extrapolations(metrics: dict) -> str:
    """What the card says about the Frechet distances extrapolated to infinitely many pictures; "" if no family has one.

    Only those families whose Frechet distance has a limit: with thin strokes, the distance is too small to be extrapolated.
    """
    found = []
    for family in FRECHET_SHARE:
        sample, telea = (metrics.get(family, {}).get(name, {}).get("frechet_extrapolated") for name in ("sample", "telea"))
        if sample is not None and telea:
            found.append(f"{NAMES[family]} {sample:.4f}, {sample / telea:.3f} times that of Telea ({telea:.4f})")
    if not found:
        return ""
    return (
        "Frechet distances between finite sets are biased upwards. Extrapolated to infinitely many pictures (Chong & Forsyth 2020): "
        f"{'; '.join(found)}."
    )


def table(metrics: dict) -> str:
    """The metrics as a Markdown table, with a row for each family."""
    mean = next((k for m in metrics.values() for k in m if k.startswith("mean_of_")), None)

    def cell(m: dict | None) -> str:
        if not m:
            return ""
        more = [f"{m[measure]:.{digits}f}" for measure, digits in (("frechet", 4), ("sharpness", 2)) if m.get(measure) is not None]
        return " · ".join([f"{m['l1']:.1f}", f"{m['psnr']:.1f} dB", *more])

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    head = ["masks", "Telea (OpenCV)", "one sample"] + ([mean.replace("_", " ")] if mean else [])
    rows = [[NAMES[f], cell(m["telea"]), cell(m["sample"])] + ([cell(m.get(mean))] if mean else []) for f, m in metrics.items()]
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def verdicts(metrics: dict) -> list[tuple[str, bool]]:
    """The quality requirements for a version, each as a sentence and whether it is met."""
    out = []
    for family, m in metrics.items():
        if family in FRECHET_SHARE:
            ratio, share = m["sample"]["frechet"] / m["telea"]["frechet"], FRECHET_SHARE[family]
            out.append((f"{family}: Frechet distance {ratio:.3f} times that of Telea, required at most {share}", ratio <= share))
        found = m["sample"]["sharpness"]
        if found is not None:
            out.append((f"{family}: sharpness {found} of the originals', required {SHARPNESS[0]} to {SHARPNESS[1]}", is_sharp(found)))
        for name in (k for k in m if k.startswith("mean_of_")):
            claim = f"{family}: L1 of the {name.replace('_', ' ')} {m[name]['l1']}, required below {m['telea']['l1']} (Telea)"
            out.append((claim, m[name]["l1"] < m["telea"]["l1"]))
    return out


def sheet(sampler: Sampler, faces: np.ndarray, path: Path, scale: int = 2):
    """Write a PNG with a row for each face, and pairs (hole, fill) for each mask family and the whole picture. faces: uint8 [N, R, R, 3]."""
    families = {**masks.FAMILIES, "whole": masks.whole}
    size, n = faces.shape[1], len(faces)
    holes = np.stack([kind(np.random.default_rng([7, i]), size) for kind in families.values() for i in range(n)])
    shown = np.concatenate([faces] * len(families))
    bar = tqdm(total=len(shown) * sampler.steps, unit="row", unit_scale=True, mininterval=10)
    filled = sampler.fill(shown, holes, [1000 * i for i in range(n)] * len(families), bar)
    bar.close()
    pairs = np.concatenate([np.where(holes[..., None], 128, shown).astype(np.uint8), filled], 2)
    columns = np.split(pairs, len(families))
    image = Image.fromarray(np.concatenate([np.concatenate(column) for column in columns], 1))
    image.resize((image.width * scale, image.height * scale), Image.LANCZOS).save(path)


def write_card(folder: Path, metrics: dict, how: dict):
    """Write the metrics to model.json and the "Quality" section of README.md in a version's folder. how: the settings used."""
    card_file, readme_file = folder / "model.json", folder / "README.md"
    card = json.loads(card_file.read_text())
    card["metrics"] = {"how": how, **metrics}
    mean = f"; the mean of {how['candidates']} samples, drawn with {how['candidate_steps']} steps each, is closer" if how["candidates"] > 1 else ""
    tested = "faces of people" if is_celeba(card["data"]) else "pictures"
    measured = [s for m in metrics.values() if (s := m["sample"].get("sharpness")) is not None]
    outside = "" if all(map(is_sharp, measured)) else "; this version is outside it"
    text = (
        f"Measured on {how['faces']} {tested} that training never saw, with {how['sampler']} and {how['steps']} steps "
        f"(timesteps: {diffusion.described(how['spacing'], how['final_timestep'])}). Each cell gives the "
        "L1 distance over the hole (of 255), the PSNR over the hole, the Frechet distance between 128-d face descriptors of the results and "
        "of the originals, and for samples the sharpness: the root mean square of the Laplacian inside the hole, as a share of the originals' "
        f"(the quality gate asks for {SHARPNESS[0]} to {SHARPNESS[1]}{outside}). "
        "Lower L1 and Frechet distances, higher PSNR and a sharpness near 1 are better. One sample is one plausible answer, so where much is "
        f"missing it is further from the original than a blur would be{mean}.\n\n" + table(metrics)
    )
    if more := extrapolations(metrics):
        text += f"\n\n{more}"
    readme = readme_file.read_text()
    before, rest = readme.split("<!-- metrics -->")
    _, after = rest.split("<!-- /metrics -->")
    write_text(readme_file, f"{before}<!-- metrics -->\n{text}\n<!-- /metrics -->{after}")
    write_json(card_file, card)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="models/<id>/<version>")
    parser.add_argument("--data", type=Path, help="the data set (default: data/celeba, for a model of CelebA)")
    parser.add_argument("--faces", type=several, help="use only the first N test faces (default: all)", metavar="N")
    parser.add_argument("--families", type=names(masks.FAMILIES), default="thin,wide,box,half", help="mask families, separated by commas")
    parser.add_argument("--candidates", type=positive, default=8, help="samples to average; 1: no mean")
    parser.add_argument("--candidate-steps", type=positive, help="sampler steps for each of these (default: 4, or --steps if fewer)")
    parser.add_argument("--sampler", choices=["ddim", "ddpm", "dpmpp_2m"], help="default: from the model card")
    parser.add_argument("--steps", type=positive, help="sampler steps of one sample (default: from the model card)")
    parser.add_argument("--eta", type=float, help="for ddim, 0..1 (default: from the model card)")
    parser.add_argument("--spacing", choices=diffusion.SPACINGS, help="how the timesteps are spread (default: from the model card)")
    parser.add_argument("--final-timestep", type=int, help="where linspace and log_snr end (default: from the model card)")
    parser.add_argument("--batch", type=positive, default=64, help="rows per evaluation of the network")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=HERE.parent / "eval", help="folder for the results")
    parser.add_argument("--no-sheet", action="store_true", help="do not draw sheet.png")
    parser.add_argument("--write-card", action="store_true", help="write the results to model.json and README.md in the folder")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    card = trained_card(args.folder)
    data = pictures_of(card, args.data)
    defaults, sampling = card["defaults"], diffusion.sampling_of(card)
    name, steps = args.sampler or defaults["sampler"], args.steps or defaults["steps"]
    eta = defaults["eta"] if args.eta is None else args.eta
    spacing = args.spacing or sampling["spacing"]
    final = sampling["final_timestep"] if args.final_timestep is None else args.final_timestep
    sampler = Sampler(args.folder, name, steps, eta, spacing, final, args.device, args.batch, args.threads)
    faces = loaded(data, card["resolution"], "test", 2)[: args.faces]
    how = {"faces": len(faces), "sampler": name, "steps": steps, "eta": eta, "spacing": spacing, "final_timestep": final}
    how |= {"candidates": args.candidates, "candidate_steps": args.candidate_steps or min(steps, 4), **computed_by(args.device)}

    out = args.out / f"{sampler.card['id']}@{sampler.card['version']}"
    out.mkdir(parents=True, exist_ok=True)
    weights = sampler.card["files"]["weights.safetensors"]["sha256"][:8]
    # Not in the folder of the version: an interrupted pipeline exports the same weights as the next one.
    keep = args.out / f"metrics-{weights}-{digest(faces)[:8]}-{'-'.join(map(str, how.values()))}.json"
    metrics = evaluate(sampler, faces, args.families, args.candidates, how["candidate_steps"], keep)
    write_json(out / "metrics.json", {"how": how, **metrics})
    write_text(out / "table.md", table(metrics) + "\n")
    print(f"{how}\n{table(metrics)}")
    for claim, holds in verdicts(metrics):
        print("PASS" if holds else "FAIL", claim)
    if more := extrapolations(metrics):
        print(more)
    if not args.no_sheet:
        sheet(sampler, faces[:12], out / "sheet.png")
        print(out / "sheet.png")
    if args.write_card:
        write_card(args.folder, metrics, how)


if __name__ == "__main__":
    main()
