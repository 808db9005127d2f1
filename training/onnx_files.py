"""Writes a network in the two formats of a model version, ONNX and safetensors, and checks that the ONNX file computes the same."""

import hashlib
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
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
    """Write the network as ONNX: inputs x [N, C, R, R] and t [N], output prediction [N, 3, R, R], all float32, dynamic N.

    Large weights are stored as fp16, see store_as_fp16.
    """
    c = model.config
    x, t = torch.randn(3, c.in_channels, c.resolution, c.resolution), torch.tensor([3.0, 50.0, 900.0])
    n = torch.export.Dim("N", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (x, t),
            input_names=["x", "t"],
            output_names=["prediction"],
            dynamic_shapes={"x": {0: n}, "t": {0: n}},
            opset_version=20,
            dynamo=True,
            verbose=False,
        )
        program.optimize()
    proto = program.model_proto
    store_as_fp16(proto.graph)
    for node in proto.graph.node:
        del node.metadata_props[:]  # stack traces, which contain local paths
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def store_as_fp16(graph: onnx.GraphProto):
    """Convert large initializers to fp16, each followed by a Cast to fp32. Runtimes fold the Cast when they load the model."""
    casts = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < HALVED_FROM:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.fp16"))
        casts.append(helper.make_node("Cast", [f"{name}.fp16"], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    del graph.value_info[:]  # it lists the initializers as fp32


@torch.no_grad()
def max_difference(model: torch.nn.Module, onnx_file: Path) -> float:
    """Largest absolute difference between the outputs of the trained network and of the ONNX file, over batches of 1, 2 and 5 rows."""
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    c, generator, worst = model.config, torch.Generator().manual_seed(0), 0.0
    for n in (1, 2, 5):
        x = torch.randn(n, c.in_channels, c.resolution, c.resolution, generator=generator)
        t = torch.randint(0, 1000, (n,), generator=generator).float()
        (found,) = session.run(None, {"x": x.numpy(), "t": t.numpy()})
        worst = max(worst, float(np.abs(found - model(x, t).numpy()).max()))
    return worst
