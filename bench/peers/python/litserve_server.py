"""LitServe with batching. Its requests are JSON with pictures in base64, as its documents teach.

WORKERS processes of THREADS threads each: more threads in all than cores would wait for each other.
"""

import base64
import os

import litserve as ls
from fastapi import Response
from filling import Filler


class FillApi(ls.LitAPI):
    def setup(self, device):
        self.filler = Filler()

    def decode_request(self, request):
        image, mask = (base64.b64decode(request[name]) for name in ("image", "mask"))
        return self.filler.decode(image, mask), request["steps"], request.get("format", "png")

    def batch(self, inputs):
        return inputs

    def predict(self, inputs):
        prepared, steps, formats = zip(*inputs, strict=True)
        filled = self.filler.fill_groups(list(prepared), list(steps))
        return list(zip(prepared, filled, formats, strict=True))

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        prepared, x0, kind = output
        return Response(self.filler.encode(prepared, x0, kind), media_type=f"image/{kind}")


if __name__ == "__main__":
    api = FillApi(max_batch_size=int(os.environ["MAX_BATCH"]), batch_timeout=0.01, api_path="/fill")
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=int(os.environ["WORKERS"]), timeout=300)
    server.run(port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning")
