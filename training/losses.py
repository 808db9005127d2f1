"""The training loss of the base model: [loss] in a config says which.

prediction  what the network predicts: "v" (Salimans & Ho 2022) or "epsilon" (Ho et al. 2020)
weighting   "min_snr" (Hang et al. 2023) or "simple", the L_simple of Ho et al. 2020
vlb_weight  share of the variational bound for a network that predicts variances too: L_hybrid of Nichol & Dhariwal 2021
"""

import math
from dataclasses import dataclass

import torch

import bound
import diffusion
from diffusion import Schedule

PREDICTIONS = ("v", "epsilon")
WEIGHTINGS = ("min_snr", "simple")


@dataclass(frozen=True)
class Loss:
    """The [loss] section of a config. Raises ValueError for unknown names and for combinations without a meaning."""

    snr_cap: float = 5.0
    weight_floor: float = 0.0
    prediction: str = "v"
    weighting: str = "min_snr"
    vlb_weight: float = 0.0  # the papers' lambda: 0.001 for a learned variance, 0 for a fixed one

    def __post_init__(self):
        for name, value, allowed in [("prediction", self.prediction, PREDICTIONS), ("weighting", self.weighting, WEIGHTINGS)]:
            if value not in allowed:
                raise ValueError(f"[loss] {name} must be one of {', '.join(allowed)}, not {value!r}")
        if self.weight_floor and (self.prediction, self.weighting) != ("v", "min_snr"):
            raise ValueError('[loss] weight_floor is for prediction = "v" with weighting = "min_snr"')
        if self.vlb_weight < 0:
            raise ValueError(f"[loss] vlb_weight must be 0 or more, not {self.vlb_weight}")

    def weight(self, schedule: Schedule, t: torch.Tensor) -> torch.Tensor:
        """The weight of each row's squared error of the prediction, float32 [N]. t: int64 [N].

        With x_t given, the error of epsilon is sqrt(abar_t) times that of v. So L_simple, the squared error of epsilon, weighs
        that of v with abar_t; and min-SNR weighs that of epsilon with min(SNR, snr_cap) / SNR.
        """
        if self.weighting == "simple":
            return torch.ones(len(t), device=t.device) if self.prediction == "epsilon" else schedule.at(t).float()
        if self.prediction == "epsilon":
            snr = schedule.snr(t)
            return snr.clamp(max=self.snr_cap) / snr
        return diffusion.loss_weight(schedule, t, self.snr_cap, self.weight_floor)

    def rows(self, model, schedule: Schedule, x0: torch.Tensor, mask: torch.Tensor, t: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        """The loss over the hole, one value per row: float32 [N].

        model: a function of diffusion.network_input and t; its output has 3 channels, or 6 with variances, see
        bound.interpolated. x0, eps: [N, 3, H, W]; mask: [N, 1, H, W], 1 in the hole; t: int64 [N].
        """
        x_t = diffusion.q_sample(schedule, x0, t, eps)
        out = model(diffusion.network_input(x_t, x0, mask), t).float()
        predicted, variance = out[:, :3], out[:, 3:]
        target = eps if self.prediction == "epsilon" else diffusion.v_target(schedule, x0, t, eps)
        value = over_the_hole((predicted - target) ** 2, mask) * self.weight(schedule, t)
        if self.vlb_weight and variance.shape[1] > 0:
            value = value + self.vlb_weight * self._vlb(schedule, x0, x_t, mask, t, predicted, variance)
        return value

    def _vlb(self, schedule, x0, x_t, mask, t, predicted, variance) -> torch.Tensor:
        """T times the term of t of the bound, in bits per dimension: an estimate of L_vlb of each row.

        The mean is detached: this loss trains the variances alone (Nichol & Dhariwal 2021, section 3.1).
        """
        x0_hat, _ = diffusion.to_x0_eps(schedule, self.prediction, x_t, t, predicted.detach())
        log_variance = bound.interpolated(schedule, t, variance)
        nats = bound.terms(schedule, x0, x_t, t, x0_hat, log_variance, bound.discretised)
        return over_the_hole(nats, mask) * schedule.T / math.log(2)


def over_the_hole(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean of values [N, C, H, W] over the hole of each row, [N]. mask: [N, 1, H, W], 1 in the hole."""
    return (values * mask).sum((1, 2, 3)) / (mask.sum((1, 2, 3)) * values.shape[1])
