"""Writes a network in the two formats of a model version, ONNX and safetensors, and checks that the ONNX file computes the same."""

import hashlib
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import torch
from safetensors.torch import save_file

TOLERANCE = 1e-2  # maximum difference of an output caused by the fp16 weights
HALVED_FROM = 1024  # smaller tensors (norms, biases) stay fp32: the saving would be negligible


def write_network(model: torch.nn.Module, onnx_file: Path, weights_file: Path) -> float:
    """Write both files, and return the largest difference of an output of the ONNX file from one of the network.

    Raises ValueError if it is more than TOLERANCE.
    """
    write_onnx(model, onnx_file)
    save_file({k: halve(v) for k, v in model.state_dict().items()}, weights_file)
    weights_file.chmod(0o644)  # safetensors creates the file readable by its owner only
    difference = max_difference(model, onnx_file)
    if not difference <= TOLERANCE:
        raise ValueError(f"outputs of {onnx_file.name} differ from those of the trained network by {difference}, more than {TOLERANCE}")
    return difference


def listed(files: list[Path]) -> dict:
    """The entries of `files` in model.json: size and SHA-256 by name."""
    return {f.name: {"sha256": hashlib.sha256(f.read_bytes()).hexdigest(), "bytes": f.stat().st_size} for f in files}


def halve(x: torch.Tensor) -> torch.Tensor:
    """x as fp16 if it has at least HALVED_FROM values, else unchanged."""
    return x.half() if x.numel() >= HALVED_FROM else x


def write_onnx(model: torch.nn.Module, path: Path):
    """Write a network of ours as ONNX, with large weights as fp16: see `exported`. Its config gives channels and resolution."""
    c = model.config
    written = exported(model, c.in_channels, c.resolution)
    store_as_fp16(written.graph)
    onnx.checker.check_model(ir.to_proto(written), full_check=True)
    ir.save(written, path)


def exported(network: torch.nn.Module, channels: int, resolution: int, max_rows: int = 4096) -> ir.Model:
    """A network as ONNX: inputs x [N, channels, R, R] and t [N], output prediction [N, C, R, R], all float32, dynamic N up to max_rows."""
    # Three rows: an example of one row would fix the size of the batch.
    example = torch.randn(3, channels, resolution, resolution), torch.tensor([3.0, 50.0, 900.0])
    n = torch.export.Dim("N", min=1, max=max_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            example,
            input_names=["x", "t"],
            output_names=["prediction"],
            dynamic_shapes=({0: n}, {0: n}),
            opset_version=20,
            dynamo=True,
            verbose=False,
        )
        program.optimize()
    for node in program.model.graph:
        node.metadata_props.clear()  # stack traces, which contain local paths
    return program.model


def store_as_fp16(graph: ir.Graph):
    """Convert large initializers to fp16, each followed by a Cast to fp32. Runtimes fold the Cast when they load the model."""
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < HALVED_FROM:
            continue
        stored = ir.tensor(tensor.numpy().astype(np.float16), name=f"{name}.fp16")
        half = ir.Value(name=stored.name, shape=stored.shape, type=ir.TensorType(ir.DataType.FLOAT16), const_value=stored)
        cast = ir.node("Cast", [half], attributes={"to": ir.DataType.FLOAT})
        cast.outputs[0].shape, cast.outputs[0].type = tensor.shape, ir.TensorType(ir.DataType.FLOAT)
        graph.insert_before(graph[0], cast)
        ir.convenience.replace_all_uses_with(value, cast.outputs[0])
        del graph.initializers[name]
        cast.outputs[0].name = name
        graph.register_initializer(half)


@torch.no_grad()
def max_difference(model: torch.nn.Module, onnx_file: Path) -> float:
    """Largest absolute difference between the outputs of the trained network and of the ONNX file, over batches of 1, 2 and 5 rows."""
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    c, generator, worst = model.config, torch.Generator().manual_seed(0), 0.0
    for n in (1, 2, 5):
        x = torch.randn(n, c.in_channels, c.resolution, c.resolution, generator=generator)
        t = torch.randint(0, 1000, (n,), generator=generator).float()
        (found,) = session.run(None, {"x": x.numpy(), "t": t.numpy()})
        worst = float(np.maximum(worst, np.abs(found - model(x, t).numpy()).max()))  # Python's max() would pass over a NaN
    return worst
