"""FastAPI and PyTorch, as their documents teach: an endpoint that runs in the thread pool, and a lock around the network.

The lock gives the network all threads for one request at a time. Decoding and encoding of other requests go on beside it.
"""

from threading import Lock
from typing import Annotated

from fastapi import FastAPI, Form, Response, UploadFile
from filling import Filler

filler, lock = Filler(), Lock()
app = FastAPI()


@app.get("/ready")
def ready() -> str:
    return "ok"


@app.post("/fill")
def fill(image: UploadFile, mask: UploadFile, steps: Annotated[int, Form()], format: Annotated[str, Form()] = "png") -> Response:
    prepared = filler.decode(image.file.read(), mask.file.read())
    with lock:
        (x0,) = filler.fill(prepared, steps=steps)
    return Response(filler.encode(prepared, x0, format), media_type=f"image/{format}")

