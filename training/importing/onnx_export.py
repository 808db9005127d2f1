"""Writes an imported network as ONNX. These can be much larger than the networks trained here, for which onnx_files.py does so."""

from pathlib import Path

import onnx_ir as ir

from importing.source import Source
from onnx_files import exported, store_as_fp16

# Weights of so many bytes go to a file of their own: the service maps it into memory rather than copying it, which takes as
# much memory again. An ONNX file of 2 GiB or more could not be read at all.
EXTERNAL_FROM_BYTES = 64_000_000


def write_onnx(source: Source, path: Path, halved: bool, external_from: int = EXTERNAL_FROM_BYTES) -> list[Path]:
    """Write the network as `path`: see onnx_files.exported. Returns the files.

    halved: store large weights as fp16; runtimes convert them to fp32 when they load the model. If the weights take
    `external_from` bytes or more, they are written to `path` with ".data" added.
    """
    model = exported(source.network, 3, source.resolution, source.max_rows)
    if halved:
        store_as_fp16(model.graph)
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values())
    data = path.with_name(f"{path.name}.data") if size >= external_from else None
    ir.save(model, path, external_data=data and data.name)
    return [path] if data is None else [path, data]
