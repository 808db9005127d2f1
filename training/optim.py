"""Muon for the weights inside the network, AdamW for the rest, and the learning rate of both."""

from collections import defaultdict

import torch
from torch import nn


def fast_bf16(device: str) -> bool:
    """Whether the device supports bfloat16 in hardware. A CPU without this support emulates it, about 50 times slower than fp32."""
    return device.startswith("cuda") or torch.cpu._is_avx512_bf16_supported()


def orthogonalise(g: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Approximations of the nearest semi-orthogonal matrices to g [..., rows, columns], by Newton-Schulz iteration (Jordan 2024).

    Computed in bf16 if the hardware supports it, because the iteration tolerates the rounding.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16() if fast_bf16(g.device.type) else g.float()
    if tall := g.shape[-2] > g.shape[-1]:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """The Muon optimiser: Nesterov momentum whose updates are orthogonalised (Jordan 2024).

    A convolution weight [out, in, 3, 3] is treated as a matrix [out, 9 in]. Updates are scaled by 0.2 sqrt(max(rows, columns)),
    which gives them the typical size of AdamW updates (Liu et al. 2025).
    """

    def __init__(self, params, lr: float, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            same_shape = defaultdict(list)  # orthogonalised together: a GPU takes as long for one small matrix as for several
            for p in group["params"]:
                if p.grad is not None:
                    same_shape[p.shape].append(p)
            for shape, params in same_shape.items():
                directions = orthogonalise(torch.stack([self._direction(p, group["momentum"]) for p in params]))
                scale = 0.2 * max(directions.shape[1:]) ** 0.5
                updates = directions.to(params[0].dtype).view(-1, *shape).unbind()
                torch._foreach_add_(params, updates, alpha=-group["lr"] * scale)

    def _direction(self, p: nn.Parameter, momentum: float) -> torch.Tensor:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        m = state["momentum"].mul_(momentum).add_(p.grad)
        return (p.grad + momentum * m).flatten(1)


def optimisers(model: nn.Module, muon_lr: float, adam_lr: float) -> list[torch.optim.Optimizer]:
    """Muon for all parameters of two or more dimensions between the first and the last convolution, AdamW for the others.

    These are the weights of convolutions, and the gains [1, C, 1, 1] of the refiner's norms. The linear layers, which all belong to the
    timestep embedding, use AdamW. muon_lr 0: AdamW for everything.
    """
    matrices = [p for n, p in model.named_parameters() if _inside(n, p)] if muon_lr else []
    rest = [p for n, p in model.named_parameters() if not (muon_lr and _inside(n, p))]
    adam = torch.optim.AdamW(rest, lr=adam_lr, betas=(0.9, 0.99), weight_decay=0.01, fused=rest[0].is_cuda)
    return [Muon(matrices, lr=muon_lr), adam] if matrices else [adam]


def _inside(name: str, p: nn.Parameter) -> bool:
    return p.ndim >= 2 and not name.startswith(("stem", "head", "time")) and ".emb." not in name


def learning_rate(step: int, progress: float, train: dict) -> float:
    """Factor for the learning rate, 0..1: linear warm-up, constant, then linear decay to 0.

    progress: share of the training that is done, 0..1; train: the [train] section.
    """
    return min(1.0, (step + 1) / max(train["warmup"], 1), max(0.0, 1 - progress) / max(train["decay"], 1e-9))
