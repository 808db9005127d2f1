"""BentoML with adaptive batching: requests that wait while the network runs form the next batch.

A batch is decoded and encoded by the process that evaluates the network. Pictures are base64 in JSON, because a batchable
endpoint has one parameter.
"""

import base64
import os

import bentoml
from filling import Filler
from pydantic import BaseModel


class Fill(BaseModel):
    image: str
    mask: str
    steps: int
    format: str = "png"


@bentoml.service(workers=int(os.environ["WORKERS"]), traffic={"timeout": 300, "max_concurrency": 64})
class Inpainting:
    def __init__(self):
        self.filler = Filler()

    @bentoml.api(batchable=True, max_batch_size=int(os.environ["MAX_BATCH"]), max_latency_ms=300_000)
    def fill(self, fills: list[Fill]) -> list[str]:
        prepared = [self.filler.decode(base64.b64decode(f.image), base64.b64decode(f.mask)) for f in fills]
        filled = self.filler.fill_groups(prepared, [f.steps for f in fills])
        files = [self.filler.encode(p, x0, f.format) for p, x0, f in zip(prepared, filled, fills, strict=True)]
        return [base64.b64encode(file).decode() for file in files]
