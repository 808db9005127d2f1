import base64
import json

import numpy as np
import pytest

import vectors
import vectors_diffusers
import vectors_golden
import vectors_imported
from philox import philox


def leaves(node, path=""):
    """(path, leaf) of every leaf of parsed JSON; base64 as the array it stands for."""
    if isinstance(node, dict | list):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(child, f"{path}/{key}")
    elif isinstance(node, str) and len(node) > 1000:
        yield path, np.frombuffer(base64.b64decode(node), "<f4")
    else:
        yield path, node


@pytest.mark.parametrize("module", [vectors, vectors_diffusers, vectors_golden, vectors_imported])
def test_committed_vectors_are_what_this_code_gives(module):
    committed, now = (dict(leaves(json.loads(text))) for text in (module.FILE.read_text(), module.text()))
    assert committed.keys() == now.keys()
    # The last bits of float32 differ between processors: a trajectory adds up such differences, and an embedding multiplies them by t.
    for path, value in committed.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(now[path], value, rtol=0, atol=2e-4, err_msg=path)
        else:
            least = 1e-4 if path.startswith("/embedding/") else 1e-6
            assert now[path] == (pytest.approx(value, rel=1e-5, abs=least) if isinstance(value, float) else value), path


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # the known answers that come with Random123
        ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF, 0xFFFFFFFF), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, words):
    assert philox(np.array([counter]), key)[0].tolist() == words
