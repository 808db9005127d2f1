"""DDIM on the bare network of a running service. It draws the picture that the service itself draws for this seed.

Needs tritonclient[http] and pillow from PyPI. Run it in the repository: python examples/ddim.py [host:port]
"""
import json, sys, urllib.request
import numpy as np, tritonclient.http as triton
from PIL import Image

HOST, MODEL, SEED, STEPS = sys.argv[1] if len(sys.argv) > 1 else "localhost:8000", "celeba-inpaint-64", 7, 12
server = triton.InferenceServerClient(HOST, network_timeout=300)
def infer(model, output, parameters=None, **inputs):
    tensors = [triton.InferInput(name, list(a.shape), "UINT8" if a.dtype == np.uint8 else "FP32") for name, a in inputs.items()]
    for tensor, array in zip(tensors, inputs.values()): tensor.set_data_from_numpy(array)
    return server.infer(model, tensors, parameters=parameters).as_numpy(output)[0]

def gaussian(seed, n):  # The service's noise, src/diffusion/noise.ts: Philox 4x32-10 and Box-Muller. Any other would do too.
    c, k = [np.arange(n // 4, dtype=np.uint64)] + [np.zeros(n // 4, np.uint64)] * 3, np.uint64([seed, 0])
    for _ in range(10):
        p, q = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [q >> 32 ^ c[1] ^ k[0], q & 0xFFFFFFFF, p >> 32 ^ c[3] ^ k[1], p & 0xFFFFFFFF]
        k = k + np.uint64([0x9E3779B9, 0xBB67AE85]) & 0xFFFFFFFF
    radius, angle = np.sqrt(-2 * np.log((np.stack(c[::2]) + 0.5) / 2**32)), 2 * np.pi * np.stack(c[1::2]) / 2**32
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(4, -1).T.ravel()

card = json.load(urllib.request.urlopen(f"http://{HOST}/v1/models/{MODEL}"))["card"]  # this is for a cosine schedule and v-prediction
T, spacing = card["schedule"]["T"], card["sampling"]
f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
abar = np.maximum(f[1:] / f[0], 1e-5); log_snr = np.log(abar / (1 - abar))
even = {"trailing": lambda: np.floor(T - np.arange(STEPS) * T / STEPS + 0.5).astype(int) - 1,
        "log_snr": lambda: [np.abs(log_snr - at).argmin() for at in np.linspace(log_snr[-1], log_snr[spacing["final_timestep"]], STEPS)]}
timesteps = even[spacing["spacing"]]()

picture, mask = np.array(Image.open("examples/face-1.png")), np.array(Image.open("examples/mask-1.png"))
known, hole = picture.transpose(2, 0, 1) / 127.5 - 1, mask >= 128
x = gaussian(SEED, known.size).reshape(known.shape)
for t, abar_next in zip(timesteps, [*abar[timesteps[1:]], 1]):
    shown = np.concatenate([np.where(hole, x, known), 2 * hole[None] - 1.0])
    v = infer(f"{MODEL}-network", "prediction", x=shown[None].astype(np.float32), t=np.float32([t]))
    x0 = np.clip(np.sqrt(abar[t]) * x - np.sqrt(1 - abar[t]) * v, -1, 1)
    epsilon = (x - np.sqrt(abar[t]) * x0) / np.sqrt(1 - abar[t])
    x = np.sqrt(abar_next) * x0 + np.sqrt(1 - abar_next) * epsilon
drawn = np.where(hole[..., None], np.rint((x.transpose(1, 2, 0) + 1) * 127.5), picture).astype(np.uint8)
Image.fromarray(drawn).save("ddim.png")

options = {"seed": SEED, "sampler": "ddim", "steps": STEPS, "eta": 0, "strategy": "resize"}
theirs = infer(MODEL, "images", options, image=picture[None], mask=mask[None, ..., None])
difference = np.abs(drawn.astype(int) - theirs).max()
print(f"ddim.png differs from the service's picture by {difference} of 255 at most")
sys.exit(bool(difference > 1))
