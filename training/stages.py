"""What a training run of each stage needs: its network, its batches, its loss, its validation and its sheet of pictures.

A model has two stages: the base model fills a hole at its own resolution, and the refiner doubles the resolution of a fill. A student is a
base model that needs fewer evaluations, and an autoguided model is one that makes fewer mistakes; both learn from exported versions. train.py
trains each; `stage` in the config says which.
"""

import copy
from pathlib import Path

import numpy as np
import torch

import diffusion
import refiner_batches
from autoguidance import Autoguidance
from batches import Sources, batch_at, to_device
from data import load_faces
from distil import Distillation
from losses import Loss
from photos import CROPS_SIDE
from refiner import Refiner, RefinerConfig
from register import read_card, ref
from sheet import refiner_sheet, sample_sheet
from unet import UNet, UNetConfig, load_unet

HERE = Path(__file__).parent
VALIDATION_ROWS = 512


def values(section: dict) -> dict:
    """A section with tuples in place of lists, as the architectures have them."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in section.items()}


def differing(has: dict, wanted: dict) -> str:
    """The keys of [model], `wanted`, whose values in another architecture, `has`, are others, such as "blocks = 1, not 2"."""
    return ", ".join(f"{key} = {has[key]}, not {value}" for key, value in values(wanted).items() if has[key] != value)


def differences(stage, card: dict) -> str:
    """`differing` for a version's card and the [model] of `stage`, of what the shapes of the weights depend on."""
    section = card.get("refiner", {}) if isinstance(stage, RefinerStage) else card
    has = stage.architecture(**values(section.get("architecture", {}))).to_dict()
    return differing(has, {key: value for key, value in stage.config["model"].items() if key not in ("resolution", "dropout")})


def load_photographs(folder: Path, side: int, split: str) -> np.ndarray:
    """load_faces for the photographs of the mix. Raises FileNotFoundError with a sentence of its own if there is no folder."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no photographs at {folder}: make it with photos.py, give --photos, or set [mix] photos = 0")
    return load_faces(folder, side, split)


class BaseStage:
    """The base model: rows are whole pictures at the resolution R, or windows of that size."""

    weights_file = "weights.safetensors"  # in the folder of an exported version
    architecture = UNetConfig  # whose fields are the keys of [model]
    remark = ""  # on the network, for the description in the card
    init: str | None = None  # the version, such as celeba-inpaint-64@5, with whose weights it begins without --init
    keys = {"mix": {"zoom", "zoom_from", "photos", "photos_data"}, "loss": {"snr_cap", "weight_floor"}}
    # Of an exported version's card. The last timestep must be one of little noise: the estimate of x_0 there is the result.
    defaults = {"sampler": "dpmpp_2m", "steps": 12, "eta": 0}
    sampling = {"spacing": "log_snr", "final_timestep": 8}

    def __init__(self, config: dict):
        self.config, self.schedule, self.objective = config, diffusion.schedule_of(config), Loss(**config["loss"])

    def check(self):
        """Raise ValueError if the config cannot be trained, for reasons that config.check does not know."""

    def network(self) -> UNet:
        """The network with new weights, mapping x [N, C, R, R] and t [N] to the prediction [N, 3, R, R], or 6 channels with variances."""
        return UNet(self.architecture(**values(self.config["model"])))

    def load(self, data: Path, photos: Path, split: str) -> Sources:
        """The pictures of `split` that [mix] requires. Larger faces are for training alone: validation does not zoom.

        Raises ValueError if the training faces do not fill a batch, and as load_faces does.
        """
        mix, resolution = self.config["mix"], self.config["model"]["resolution"]
        faces, batch = load_faces(data, resolution, split), self.config["train"]["batch"]
        if split == "train" and len(faces) < batch:  # an epoch would have no batch: see batch_at
            raise ValueError(f"[train] batch is {batch}, but {data} has only {len(faces)} training pictures: choose a smaller batch")
        return Sources(
            faces,
            load_faces(data, mix["zoom_from"], split) if mix["zoom"] and split == "train" else None,
            load_photographs(photos, min(4 * resolution, CROPS_SIDE), split) if mix["photos"] else None,
        )

    def draw(self, sources: Sources, step: int) -> list[torch.Tensor]:
        """The batch of this step on the CPU, for `loss`."""
        return batch_at(step, sources, self.config, self.schedule.T)

    def loss(self, model, batch: list[torch.Tensor], device: str) -> torch.Tensor:
        """The weighted loss of each row of a batch, float32 [N]."""
        return self.objective.rows(model, self.schedule, *to_device(batch, device))

    def validate(self, model, sources: Sources, device: str) -> dict:
        """Metrics for comparing training configurations, on fixed pictures, masks, timesteps and noise.

        validation: mean min-SNR-5 loss on faces, whatever loss weights the training uses; validation_photos: the same on
        photographs; x0_error: mean squared error of x_0 at t = T - 1 when the whole picture is the hole. For comparison,
        predicting the mean face gives about 0.25.
        """
        config, schedule, prediction = self.config, self.schedule, self.objective.prediction
        min_snr = Loss(prediction=prediction)
        held_out = Sources(sources.faces[:VALIDATION_ROWS], photos=sources.photos)
        batch = min(32, len(held_out.faces))
        fixed = {**config, "train": {**config["train"], "seed": 0, "batch": batch}}
        batches = len(held_out.faces) // batch
        faces = {**fixed, "mix": {"zoom": 0, "photos": 0}}

        def mean_loss(draws: dict) -> float:
            rows = [min_snr.rows(model, schedule, *to_device(batch_at(i, held_out, draws, schedule.T), device)) for i in range(batches)]
            return float(torch.cat(rows).mean())

        out = {"validation": mean_loss(faces)}
        if config["mix"]["photos"]:
            out["validation_photos"] = mean_loss({**fixed, "mix": {"zoom": 0, "photos": 1}})
        errors = []
        for i in range(min(3, batches)):
            x0, mask, t, eps = to_device(batch_at(i, held_out, faces, schedule.T), device)
            t, mask = torch.full_like(t, schedule.T - 1), torch.ones_like(mask)
            x = diffusion.q_sample(schedule, x0, t, eps)
            predicted = model(diffusion.network_input(x, x0, mask), t)[:, :3].float()
            x0_hat, _ = diffusion.to_x0_eps(schedule, prediction, x, t, predicted)
            errors.append(float(((x0_hat - x0) ** 2).mean()))
        return {**out, "x0_error": float(np.mean(errors))}

    def sheet(self, model, sources: Sources, device: str, path: Path):
        """Write a PNG of fills."""
        sample_sheet(model, self.schedule, sources.faces, device, path, prediction=self.objective.prediction)


class RefinerStage:
    """The refiner: rows are windows of larger faces and of photographs."""

    weights_file = "refiner.safetensors"
    architecture = RefinerConfig
    keys = {"mix": {"faces_side", "photos", "photos_side", "photos_data", "soften"}, "loss": {"snr_cap", "weight_floor"}}
    # Of an exported version's card.
    defaults = {"sampler": "dpmpp_2m", "steps": 6, "eta": 0}
    sampling = {"spacing": "log_snr", "first_timestep": 900, "final_timestep": 8}

    def __init__(self, config: dict):
        self.config, self.schedule = config, diffusion.schedule_of(config)

    def check(self):
        """As for the base model."""

    def network(self) -> Refiner:
        """The network with new weights, mapping x [N, 8, R, R] and t [N] to v [N, 3, R, R]."""
        return Refiner(self.architecture(**values(self.config["model"])))

    def load(self, data: Path, photos: Path, split: str) -> Sources:
        """The faces and photographs of `split` that [mix] requires, larger than the windows."""
        mix = self.config["mix"]
        return Sources(
            load_faces(data, mix["faces_side"], split), photos=load_photographs(photos, mix["photos_side"], split) if mix["photos"] else None
        )

    def draw(self, sources: Sources, step: int) -> list[torch.Tensor]:
        """The batch of this step on the CPU, for `loss`."""
        return refiner_batches.batch_at(step, sources, self.config, self.schedule.T)

    def loss(self, model, batch: list[torch.Tensor], device: str) -> torch.Tensor:
        """The weighted loss of each row of a batch, float32 [N]."""
        loss = self.config["loss"]
        return refiner_batches.loss(model, self.schedule, refiner_batches.to_device(batch, device), loss["snr_cap"], loss["weight_floor"])

    def validate(self, model, sources: Sources, device: str) -> dict:
        """validation and validation_photos: the mean loss on fixed windows of faces and of photographs, which are not softened."""
        out = {}
        for name, photos in [("validation", 0), ("validation_photos", 1)][: 2 if sources.photos is not None else 1]:
            mix = {**self.config["mix"], "photos": photos, "soften": 0}
            fixed = {**self.config, "mix": mix, "train": {**self.config["train"], "seed": 0, "batch": 32}}
            rows = [self.loss(model, refiner_batches.batch_at(i, sources, fixed, self.schedule.T), device) for i in range(8)]
            out[name] = float(torch.cat(rows).mean())
        return out

    def sheet(self, model, sources: Sources, device: str, path: Path):
        """Write a PNG of windows: the coarse fill, the refined one, the original."""
        refiner_sheet(model, self.schedule, refiner_batches.to_device(self.draw(sources, 0), device), path)


class TaughtStage(BaseStage):
    """A base model that starts as a copy of `teacher`, an exported version, learns from it, and predicts what it predicts.

    Raises ValueError if [schedule] or [model] resolution are not those of an exported version that it learns from.
    """

    teacher: UNet

    def __init__(self, config: dict, teacher: str):
        """teacher: a folder, as for `exported`."""
        self.teacher, card = self.exported(config, teacher)
        self.init = ref(card)
        super().__init__({**config, "loss": {"prediction": card["prediction"]}})

    @staticmethod
    def exported(config: dict, folder: str) -> tuple[UNet, dict]:
        """The network of the version in this folder, relative to training/, and its card."""
        card = read_card(HERE / folder)
        if not torch.equal(diffusion.schedule_of(card).abar, diffusion.schedule_of(config).abar):
            raise ValueError(f"[schedule] must be that of {ref(card)}: {card['schedule']}, not {config['schedule']}")
        if card["resolution"] != config["model"]["resolution"]:
            raise ValueError(f"[model] resolution must be that of {ref(card)}: {card['resolution']}, not {config['model']['resolution']}")
        return load_unet(HERE / folder, card), card

    def check(self):
        """Raise ValueError if [model] asks for another network than the teacher's. Of training alone: older checkpoints may have such a config."""
        if found := differing(self.teacher.config.to_dict(), self.config["model"]):
            raise ValueError(f"[model] must be that of the teacher, {self.init}: {found}")

    def network(self) -> UNet:
        """A copy of the teacher."""
        return copy.deepcopy(self.teacher).to(memory_format=torch.contiguous_format).train()

    def validate(self, model, sources: Sources, device: str) -> dict:
        """validation: the mean loss on fixed faces, masks and noise."""
        batch = min(32, len(sources.faces))
        fixed = {**self.config, "mix": {"zoom": 0, "photos": 0}, "train": {**self.config["train"], "seed": 0, "batch": batch}}
        rows = [self.loss(model, batch_at(i, sources, fixed, self.schedule.T), device) for i in range(4)]
        return {"validation": float(torch.cat(rows).mean())}


class StudentStage(TaughtStage):
    """The student, which needs fewer evaluations than its teacher."""

    keys = {"mix": BaseStage.keys["mix"], "distil": {"teacher", "steps", "substeps", "final"}}
    sampling = {"spacing": "trailing", "final_timestep": 0}

    def __init__(self, config: dict):
        self.distillation = Distillation(**config["distil"])
        super().__init__(config, self.distillation.teacher)
        self.defaults = {"sampler": "ddim", "steps": self.distillation.steps, "eta": 0}
        self.remark = f", distilled from {self.init} to {self.distillation.steps} evaluations (Salimans & Ho 2022)"

    def loss(self, model, batch: list[torch.Tensor], device: str) -> torch.Tensor:
        """The loss of each row of a batch, float32 [N]."""
        teacher = self.teacher.to(device, memory_format=torch.channels_last)
        return self.distillation.rows(model, teacher, self.schedule, self.objective.prediction, *to_device(batch, device))

    def sheet(self, model, sources: Sources, device: str, path: Path):
        """Write a PNG of fills in as many steps as the student is made for."""
        sample_sheet(model, self.schedule, sources.faces, device, path, self.distillation.steps, self.objective.prediction)


class AutoguidedStage(TaughtStage):
    """A base model whose own predictions are those of its teacher with autoguidance."""

    keys = {"mix": BaseStage.keys["mix"], "autoguidance": {"teacher", "guide", "weight"}}

    def __init__(self, config: dict):
        self.autoguidance = Autoguidance(**config["autoguidance"])
        super().__init__(config, self.autoguidance.teacher)
        self.guide, weaker = self.exported(config, self.autoguidance.guide)
        if (self.objective.prediction, weaker["prediction"]) != ("v", "v"):
            raise ValueError(f"[autoguidance] {self.init} and {ref(weaker)} must both predict v")
        self.remark = (
            f", distilled from {self.init} guided by {ref(weaker)} with weight {self.autoguidance.weight:g} (autoguidance, Karras et al. 2024)"
        )

    def loss(self, model, batch: list[torch.Tensor], device: str) -> torch.Tensor:
        """The loss of each row of a batch, float32 [N]."""
        teacher, guide = (network.to(device, memory_format=torch.channels_last) for network in (self.teacher, self.guide))
        return self.autoguidance.rows(model, teacher, guide, self.schedule, self.sampling["final_timestep"], *to_device(batch, device))


STAGES = {"base": BaseStage, "refiner": RefinerStage, "student": StudentStage, "autoguided": AutoguidedStage}
