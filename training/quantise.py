"""Add an int8 network to a model version: faster on CPUs, for the timesteps where it is accurate.

    python quantise.py ../models/celeba-inpaint-64/6

Static quantisation with ONNX Runtime's tools (QDQ): convolutions have unsigned 8-bit inputs and outputs, whose ranges are
taken from noisy validation pictures at all timesteps, and signed weights with a scale for each output channel. The first and
the last convolution remain fp32, and every other whose quantisation alone changes the prediction by more than
LAYER_ERROR. The prediction matters most at small timesteps, and there the errors are largest: the service evaluates rows
below `from_timestep` in fp32, the smallest timestep from which the error remains within NETWORK_ERROR.

Writes unet.int8.onnx, the section `int8` of model.json and a line in README.md. The section has the quality on the
centre box of the test faces, in fp32 with two sets of seeds and in int8: `within_noise` says whether int8's Frechet
distance exceeds that of fp32 by no more than the second set of seeds changes it. L1 and sharpness do not count.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from tqdm import tqdm

import diffusion
import masks
from arguments import positive, several
from batches import scaled
from data import loaded
from export_refiner import with_section
from files import replacing, write_json, write_text
from inference import Sampler, onnx_network
from onnx_files import listed, store_as_fp16
from register import opened_card
from scores import descriptors, frechet, hole_l1, sharpness
from terms import pictures_of

FILE = "unet.int8.onnx"
LAYER_ERROR = 0.05  # largest relative error of the prediction, at t >= T / 4, when one convolution is quantised
NETWORK_ERROR = 0.08  # the same when all are, at t >= from_timestep
CALIBRATION, ROWS = 24, 4  # timesteps, and rows at each

Rows = list[dict[str, np.ndarray]]


def noisy_rows(card: dict, pictures: np.ndarray, timesteps: int, rows: int, seed: int) -> Rows:
    """Inputs of the network: for each of `timesteps` timesteps, evenly spread over the card's 0..T - 1, x [rows, C, R, R] and t [rows].

    pictures: uint8 [N, R, R, 3].
    """
    schedule, rng, out = diffusion.schedule_of(card), np.random.default_rng(seed), []
    for t in np.linspace(0, schedule.T - 1, timesteps).round().astype(int):
        x0 = scaled(torch.from_numpy(pictures[rng.integers(0, len(pictures), rows)]))
        mask = torch.from_numpy(np.stack([masks.training_mask(rng, x0.shape[-1]) for _ in range(rows)])[:, None]).float()
        at, eps = torch.full((rows,), int(t)), torch.from_numpy(rng.standard_normal(x0.shape, np.float32))
        x = diffusion.q_sample(schedule, x0, at, eps)
        seen = diffusion.network_input(x, x0, mask) if card["conditioning"] == "inpaint" else x
        out.append({"x": seen.contiguous().numpy(), "t": at.float().numpy()})
    return out


class Calibration(CalibrationDataReader):
    """Rows for ONNX Runtime's quantisation, once."""

    def __init__(self, rows: Rows):
        self.rows = iter(rows)

    def get_next(self) -> dict | None:
        return next(self.rows, None)


def fold(file: Path, out: Path):
    """Write `out`: the network after constant folding, so without the Casts of its fp16 weights."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def predictions(file: Path, rows: Rows, threads: int) -> list[np.ndarray]:
    """The network's prediction for each element of `rows`."""
    network = onnx_network(file.parent, threads, file.name)
    return [network(torch.from_numpy(each["x"]), torch.from_numpy(each["t"])).numpy() for each in rows]


def relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """The root mean square of the difference, as a share of that of `wanted`."""
    return float(np.sqrt(((found - wanted) ** 2).mean() / (wanted**2).mean()))


def quantise(fp32: Path, out: Path, layers: list[str], rows: Rows):
    """Write `out`: the network with these convolutions in int8."""
    quantize_static(
        fp32,
        out,
        Calibration(rows),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        nodes_to_quantize=layers,
        per_channel=True,
        # Weights of 7 bits: without the VNNI instructions, sums of two products of 8 bits overflow their 16 bits.
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def tolerant_layers(fp32: Path, convolutions: list[str], rows: Rows, wanted: list[np.ndarray], calibration: Rows, threads: int) -> list[str]:
    """Those of `convolutions` whose quantisation alone changes the prediction by LAYER_ERROR at most. wanted: the predictions for `rows`."""
    out, tolerant = fp32.with_name("one.onnx"), []
    for layer in tqdm(convolutions, desc="convolutions", mininterval=10):
        quantise(fp32, out, [layer], calibration[::4])
        if max(map(relative_error, predictions(out, rows, threads), wanted)) <= LAYER_ERROR:
            tolerant.append(layer)
    return tolerant


def from_timestep(errors: list[tuple[int, float]], T: int) -> int:
    """The smallest timestep from which all errors are NETWORK_ERROR at most; T if there is none. errors: (t, error), t increasing."""
    first = T
    for t, error in reversed(errors):
        if error > NETWORK_ERROR:
            break
        first = t
    return first


def mixed(fp32: Callable, int8: Callable, first: int) -> Callable:
    """A network (x, t) -> prediction that evaluates rows with t >= first in int8 and the others in fp32, as the service does."""

    def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        of = [(part, evaluate(x[part], t[part])) for part, evaluate in ((t >= first, int8), (t < first, fp32)) if part.any()]
        out = torch.empty(len(x), *of[0][1].shape[1:])
        for part, prediction in of:
            out[part] = prediction
        return out

    return network


def box_quality(folder: Path, int8_file: Path, faces: np.ndarray, first: int, threads: int) -> dict:
    """Scores on the centre box: {"fp32", "fp32_other_seeds", "int8"}, each with l1, frechet and sharpness. faces: uint8 [N, R, R, 3]."""
    card = json.loads((folder / "model.json").read_text())
    defaults, sampling = card["defaults"], diffusion.sampling_of(card)
    steps, spacing, final = defaults["steps"], sampling["spacing"], sampling["final_timestep"]
    sampler = Sampler(folder, defaults["sampler"], steps, defaults["eta"], spacing, final, "cpu", 32, threads)
    fp32 = sampler.network
    int8 = mixed(fp32, onnx_network(int8_file.parent, threads, int8_file.name), first)
    holes = np.stack([masks.centre_box(np.random.default_rng(0), faces.shape[1])] * len(faces))
    reference, out = descriptors(faces), {}
    bar = tqdm(total=3 * len(faces) * steps, unit="row", unit_scale=True, mininterval=10)
    for name, network, candidate in [("fp32", fp32, 0), ("fp32_other_seeds", fp32, 1), ("int8", int8, 0)]:
        sampler.network = network
        filled = sampler.fill(faces, holes, [1000 * i + candidate for i in range(len(faces))], bar)
        out[name] = {
            "l1": round(hole_l1(filled, faces, holes), 2),
            "frechet": round(frechet(descriptors(filled), reference), 5),
            "sharpness": round(sharpness(filled, faces, holes), 3),
        }
    bar.close()
    return out


def within_noise(box: dict) -> bool:
    """Whether int8's Frechet distance exceeds that of fp32 by no more than two sets of seeds differ."""
    found = {name: scores["frechet"] for name, scores in box.items()}
    return found["int8"] - found["fp32"] <= abs(found["fp32_other_seeds"] - found["fp32"])


def add_to_card(folder: Path, file: Path, section: dict):
    """Write the section `int8` and the digest of the file that becomes FILE to model.json, and the section's figures to README.md."""
    card = json.loads((folder / "model.json").read_text())
    card["int8"] = section
    card["files"][FILE] = listed([file])[file.name]
    box = section["metrics"]["box"]
    cells = [" | ".join(f"{box[name][key]:.{digits}f}" for name in box) for key, digits in (("frechet", 4), ("l1", 1), ("sharpness", 2))]
    how = (
        f"`{FILE}` has {section['layers']} of {section['convolutions']} convolutions in int8 (training/quantise.py). With `PRECISION=int8`, "
        f"a CPU evaluates timesteps from {section['from_timestep']} on with it. On the centre box of {section['metrics']['faces']} test faces:"
    )
    rows = [f"| {name} | {cell} |" for name, cell in zip(("Frechet distance", "L1", "sharpness"), cells, strict=True)]
    lines = ["## Int8", "", how, "", "| | fp32 | fp32, other seeds | int8 |", "| --- | --- | --- | --- |", *rows, "", ""]
    readme = folder / "README.md"
    write_text(readme, with_section(readme.read_text(), "Int8", "\n".join(lines)))
    write_json(folder / "model.json", card)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="models/<id>/<version>")
    parser.add_argument("--data", type=Path, help="the data set (default: data/celeba, for a model of CelebA)")
    parser.add_argument("--faces", type=several, help="measure on the first N test faces (default: all)", metavar="N")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    card = opened_card(args.folder)
    if card["conditioning"] != "inpaint":
        raise SystemExit(f"{args.folder} is an unconditional model: only models that are trained to fill holes can be quantised")
    data = pictures_of(card, args.data)
    pictures = loaded(data, card["resolution"], "validation")
    calibration, held_out = noisy_rows(card, pictures, CALIBRATION, ROWS, 1), noisy_rows(card, pictures, CALIBRATION + 2, 2, 2)
    T = card["schedule"]["T"]
    with tempfile.TemporaryDirectory() as work:
        fp32, out, halved = (Path(work) / name for name in ("fp32.onnx", "int8.onnx", "halved.onnx"))
        fold(args.folder / "unet.onnx", fp32)
        convolutions = [node.name for node in onnx.load(fp32).graph.node if node.op_type == "Conv"]
        wanted = predictions(fp32, held_out, args.threads)
        noisy = next(i for i, each in enumerate(held_out) if each["t"][0] >= T / 4)
        layers = tolerant_layers(fp32, convolutions[1:-1], held_out[noisy:], wanted[noisy:], calibration, args.threads)
        quantise(fp32, out, layers, calibration)
        errors = map(relative_error, predictions(out, held_out, args.threads), wanted)
        first = from_timestep([(int(each["t"][0]), error) for each, error in zip(held_out, errors, strict=True)], T)
        stored = ir.load(out)
        store_as_fp16(stored.graph)
        ir.save(stored, halved)
        print(f"{len(layers)} of {len(convolutions)} convolutions in int8, from timestep {first} on", flush=True)
        faces = loaded(data, card["resolution"], "test", 2)[: args.faces]
        box = box_quality(args.folder, halved, faces, first, args.threads)
        section = {
            "from_timestep": first,
            "layers": len(layers),
            "convolutions": len(convolutions),
            "within_noise": within_noise(box),
            "metrics": {"faces": len(faces), "box": box},
        }
        with replacing(args.folder / FILE) as part:  # last: where the card cannot be written, the file that it lists stays
            shutil.copyfile(halved, part)
            add_to_card(args.folder, part, section)
    print(json.dumps(section))


if __name__ == "__main__":
    main()
