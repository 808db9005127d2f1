"""Writes an imported network as ONNX. onnx_files.py does so for networks trained here; these can be much larger."""

import warnings
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch

from importing.source import T_COMPARED, Source
from onnx_files import HALVED_FROM

# Weights of so many bytes go to a file of their own: the service maps it into memory rather than copying it, which takes as
# much memory again. An ONNX file of 2 GiB or more could not be read at all.
EXTERNAL_FROM_BYTES = 64_000_000


def write_onnx(source: Source, path: Path, halved: bool, external_from: int = EXTERNAL_FROM_BYTES) -> list[Path]:
    """Write the network as `path`: inputs x [N, 3, R, R] and t [N], output prediction [N, C, R, R], float32, dynamic N.

    halved: store large weights as fp16; runtimes convert them to fp32 when they load the model. If the weights take
    `external_from` bytes or more, they are written to `path` with ".data" added. Returns the files.
    """
    model = _exported(source)
    if halved:
        store_as_fp16(model.graph)
    for node in model.graph:
        node.metadata_props.clear()  # stack traces, which contain local paths
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values())
    data = path.with_name(f"{path.name}.data") if size >= external_from else None
    ir.save(model, path, external_data=data and data.name)
    return [path] if data is None else [path, data]


def _exported(source: Source) -> ir.Model:
    r = source.resolution
    # Three rows: an example of one row would fix the size of the batch.
    example = torch.randn(3, 3, r, r), torch.tensor(T_COMPARED)
    n = torch.export.Dim("N", min=1, max=source.max_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            source.network,
            example,
            input_names=["x", "t"],
            output_names=["prediction"],
            dynamic_shapes=({0: n}, {0: n}),
            opset_version=20,
            dynamo=True,
            verbose=False,
        )
        program.optimize()
    return program.model


def store_as_fp16(graph: ir.Graph):
    """Convert large initializers to fp16, each followed by a Cast to fp32."""
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
