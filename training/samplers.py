"""Compare the samplers: quality against steps, for each sampler and spacing, and whole faces from noise.

    python samplers.py ../models/celeba-inpaint-64/2                       # hours on two cores: every combination
    python samplers.py ../models/celeba-inpaint-64/2 --faces 32 --steps 4,8,12,25 --spacings trailing,log_snr --candidates 1

Fills the centre box of validation faces. For one sample of each face: the Frechet distance between face descriptors of the fills and
of the originals, the sharpness as a share of the originals', and L1 over the box; and L1 of the mean of several candidates. Every
face and candidate has a seed of its own, the same for each combination. --whole N also draws N faces from noise with the settings
of the model card, and compares them with N training faces, beside the same distance between real faces: N test faces, of other
people. A distance between small sets is biased upwards, so it compares with others of the same N alone.

Writes samplers.json and samplers.png to --out. Results are kept after each combination: the same command resumes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import diffusion
import masks
from arguments import names, positive, several
from data import digest, loaded
from evaluate import HERE
from files import kept, write_json
from inference import Sampler, computed_by
from register import trained_card
from scores import descriptors, frechet, hole_l1, sharpness
from terms import pictures_of

NAMES = ("ddpm", "ddim", "dpmpp_2m")
FLOOR_SEED = 7


def measured(sampler: Sampler, faces: np.ndarray, reference: np.ndarray, candidates: int) -> dict:
    """{"frechet", "sharpness", "l1"} of one sample of each face, and "l1_mean" of the mean of `candidates`; faces: uint8 [N, R, R, 3]."""
    n, size = len(faces), faces.shape[1]
    holes = np.stack([masks.centre_box(np.random.default_rng(0), size)] * n)
    total, out = np.zeros(faces.shape), {}
    with tqdm(total=n * sampler.steps * candidates, unit="row", unit_scale=True, mininterval=10, leave=False) as bar:
        for candidate in range(candidates):
            fill = sampler.fill(faces, holes, [1000 * i + candidate for i in range(n)], bar)
            total += fill
            if candidate == 0:
                out = {
                    "frechet": frechet(descriptors(fill), reference),
                    "sharpness": sharpness(fill, faces, holes),
                    "l1": hole_l1(fill, faces, holes),
                }
    if candidates > 1:
        out["l1_mean"] = hole_l1(total / candidates, faces, holes)
    return {k: round(v, 4) for k, v in out.items()}


def whole_faces(sampler: Sampler, training: np.ndarray, held_out: np.ndarray) -> dict:
    """Frechet distances to the training faces: of as many faces drawn from noise, and of the real faces `held_out`. All uint8 [N, R, R, 3]."""
    n, size = len(training), training.shape[1]
    with tqdm(total=n * sampler.steps, unit="row", unit_scale=True, mininterval=10) as bar:
        drawn = sampler.fill(np.zeros_like(training), np.ones((n, size, size), bool), [1000 * i for i in range(n)], bar)
    reference = descriptors(training)
    return {
        "faces": n,
        "samples_to_training": round(frechet(descriptors(drawn), reference), 4),
        "test_to_training": round(frechet(descriptors(held_out), reference), 4),
    }


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table: a line for each sampler and spacing, a column for each number of steps."""
    steps = sorted({row["steps"] for row in rows})
    lines = ["| sampler, spacing | " + " | ".join(f"{s} steps" for s in steps) + " |", "| --- " * (len(steps) + 1) + "|"]
    for key in dict.fromkeys((row["sampler"], row["spacing"]) for row in rows):
        found = {row["steps"]: row for row in rows if (row["sampler"], row["spacing"]) == key}
        cells = [cell(found[s]) if s in found else "" for s in steps]
        lines.append(f"| {key[0]}, {key[1]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(row: dict) -> str:
    """Frechet distance, sharpness, L1, and L1 of the mean where it was measured."""
    mean = [f"{row['l1_mean']:.1f}"] if "l1_mean" in row else []
    return " · ".join([f"{row['frechet']:.3f}", f"{row['sharpness']:.2f}", f"{row['l1']:.1f}", *mean])


def plot(rows: list[dict], path: Path):
    """A panel for each measure, with a line for each sampler and spacing against the steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    measures = {
        "frechet": "Frechet distance",
        "sharpness": "sharpness, share of the originals'",
        "l1": "L1 of one sample",
        "l1_mean": "L1 of the mean",
    }
    shown = [m for m in measures if all(m in row for row in rows)]
    figure, axes = plt.subplots(1, len(shown), figsize=(3.4 * len(shown) + 1.4, 3.4), layout="constrained", squeeze=False)
    styles = {"trailing": "--", "log_snr": "-", "leading": ":", "linspace": "-."}
    colours = dict(zip(NAMES, ("tab:blue", "tab:orange", "tab:green"), strict=True))
    for axis, measure in zip(axes[0], shown, strict=True):
        for name, spacing in dict.fromkeys((row["sampler"], row["spacing"]) for row in rows):
            points = sorted((row["steps"], row[measure]) for row in rows if (row["sampler"], row["spacing"]) == (name, spacing))
            axis.plot(*zip(*points, strict=True), styles[spacing], color=colours[name], marker=".", label=f"{name}, {spacing}")
        axis.set(xlabel="steps", title=measures[measure], xscale="log")
        axis.set_xticks(sorted({row["steps"] for row in rows}), [str(s) for s in sorted({row["steps"] for row in rows})], minor=False)
        axis.minorticks_off()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", fontsize=7, handlelength=4)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="models/<id>/<version>")
    parser.add_argument("--data", type=Path, help="the data set (default: data/celeba, for a model of CelebA)")
    parser.add_argument("--faces", type=several, default=200, help="validation faces to fill (default: 200)")
    parser.add_argument("--candidates", type=positive, default=8, help="samples of each face that are averaged; 1: no mean (default: 8)")
    parser.add_argument("--steps", default="4,8,12,25,50,250", help="default: 4,8,12,25,50,250")
    parser.add_argument("--samplers", type=names(NAMES), default=",".join(NAMES), help="default: all")
    parser.add_argument("--spacings", type=names(diffusion.SPACINGS), default=",".join(diffusion.SPACINGS), help="default: all")
    parser.add_argument("--final-timestep", type=int, help="where linspace and log_snr end (default: from the model card)")
    parser.add_argument(
        "--whole", type=int, default=0, help="faces to draw from noise (default: none; at most as many as the test split has)", metavar="N"
    )
    parser.add_argument("--batch", type=positive, default=64, help="rows per evaluation of the network")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=HERE.parent / "eval" / "samplers", help="folder for the results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    card = trained_card(args.folder)
    data = pictures_of(card, args.data)
    defaults, sampling = card["defaults"], diffusion.sampling_of(card)
    final = sampling["final_timestep"] if args.final_timestep is None else args.final_timestep
    faces = loaded(data, card["resolution"], "validation", 2)[: args.faces]
    reference = descriptors(faces)
    args.out.mkdir(parents=True, exist_ok=True)
    keep = args.out / "samplers.json"
    how = {"model": f"{card['id']}@{card['version']}", "faces": len(faces), "candidates": args.candidates, "final_timestep": final}
    how |= {"weights": card["files"]["weights.safetensors"]["sha256"], "pictures": digest(faces), **computed_by(args.device)}
    saved = kept(keep)
    rows = saved["rows"] if saved.get("how") == how else []
    whole = saved.get("whole") if saved.get("how") == how else None
    done = {(row["sampler"], row["spacing"], row["steps"]) for row in rows}
    for steps in map(int, args.steps.split(",")):
        for name in args.samplers:
            for spacing in args.spacings:
                if (name, spacing, steps) in done:
                    continue
                sampler = Sampler(args.folder, name, steps, 0.0, spacing, final, args.device, args.batch, args.threads)
                rows.append({"sampler": name, "spacing": spacing, "steps": steps, **measured(sampler, faces, reference, args.candidates)})
                write_json(keep, {"how": how, "rows": rows, "whole": whole})
    training, test = (loaded(data, card["resolution"], split) if args.whole else () for split in ("train", "test"))
    drawn = min(args.whole, len(training), len(test))  # Frechet distances depend on the number of faces, so all sets have as many
    if drawn and (whole is None or whole["faces"] != drawn):
        draws = np.random.default_rng(FLOOR_SEED)
        chosen, others = training[np.sort(draws.permutation(len(training))[:drawn])], test[:drawn]
        settings = (defaults["sampler"], defaults["steps"], defaults["eta"], sampling["spacing"], final)
        whole = whole_faces(Sampler(args.folder, *settings, args.device, args.batch, args.threads), chosen, others)
        write_json(keep, {"how": how, "rows": rows, "whole": whole})
    plot(rows, args.out / "samplers.png")
    print(f"{how}\n{table(rows)}\n{whole or ''}")


if __name__ == "__main__":
    main()
