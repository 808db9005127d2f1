import base64
import json

import numpy as np


def assert_same(committed: str, made: str):
    """Compares the texts of two files of network outputs: {..., "rows": [{"t", "prediction": float32 in base64}]}.

    The order of PyTorch's sums, and with it the last bits, depends on the number of threads and the processor.
    """
    committed, made = json.loads(committed), json.loads(made)
    rows, made_rows = committed.pop("rows"), made.pop("rows")
    assert committed == made
    assert [row["t"] for row in rows] == [row["t"] for row in made_rows]
    for row, made_row in zip(rows, made_rows, strict=True):
        numbers, made_numbers = (np.frombuffer(base64.b64decode(each["prediction"]), "<f4") for each in (row, made_row))
        np.testing.assert_allclose(numbers, made_numbers, atol=1e-5)
