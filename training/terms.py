"""What a model card says about the training pictures: whose they are, their terms, and what follows for the model."""

from pathlib import Path

from register import ref

CELEBA = {
    "name": "CelebA, aligned faces (Liu et al., ICCV 2015)",
    "terms": "Non-commercial research only; the pictures may not be passed on.",
}
PLAUSIBLE = (
    "What it draws is plausible, not what was really there: never use it to identify a person, or to change how a person is seen without their "
    "consent."
)
FACES = (
    "This model is for research, and for showing how inpainting with diffusion works. It knows faces best, cropped and aligned as in CelebA, "
    f"at {{resolution}} px. It does worse on faces that are framed differently, and in other pictures it may draw face-like texture. {PLAUSIBLE}\n\n"
    "CelebA shows celebrities, most of them young and light-skinned, in flattering photographs. The model draws such faces more readily than "
    "others, and fills other faces less well."
)
OTHERS = f"It knows pictures like those of its training best, at {{resolution}} px, and does worse on others. {PLAUSIBLE}"


def dataset(folder: Path, terms: str | None = None) -> dict:
    """The name and the terms of the training pictures in a folder: its name and `terms`, or CelebA's for a name with "celeba" and no `terms`."""
    name = folder.resolve().name
    return CELEBA if "celeba" in name.lower() and terms is None else {"name": name, "terms": f"{(terms or 'Unknown').rstrip('.')}."}


def is_celeba(data: dict) -> bool:
    """Whether the section `data` of a card is about CelebA."""
    return data["name"] == CELEBA["name"]


def pictures_of(card: dict, given: Path | None) -> Path:
    """The data set to measure a model with: that of --data (`given`), or else data/celeba. Exits if the model was trained on other pictures."""
    if given is None and not is_celeba(card["data"]):
        raise SystemExit(f"{ref(card)} was trained on {card['data']['name']}: give their folder as --data")
    return given or Path(__file__).parent / "data" / "celeba"


def licence(data: dict, init: str | None) -> str:
    """That of the weights. data: from `dataset`; init: the version, if any, with whose weights the training began."""
    if is_celeba(data):
        return "Weights: non-commercial research only, after the terms of CelebA. Code: Apache-2.0."
    more = f", and of {init}" if init else ""
    return f"Weights: after the terms of {data['name']} ({data['terms'].rstrip('.')}){more}. Code: Apache-2.0."


def limitations(card: dict) -> str:
    """The section "Intended use and limitations" of README.md."""
    return (FACES if is_celeba(card["data"]) else OTHERS).format(resolution=card["resolution"])


def section(card: dict) -> str:
    """The section "Terms" of README.md."""
    photographs = "; ".join(f"{p['pictures']} of {p['name']} ({p['licence']})" for p in card["data"].get("photographs", []))
    if is_celeba(card["data"]):
        more = f" The photographs are {photographs}; they are not in this repository either." if photographs else ""
        return (
            "The training data is CelebA (Liu, Luo, Wang, Tang: Deep Learning Face Attributes in the Wild, ICCV 2015), available for non-commercial "
            f"research. Its pictures may not be redistributed, and this repository contains none of them.{more} The weights are derived from this "
            "data and follow the same terms. The faces shown in this repository were drawn by its models, except one public-domain photograph "
            "(`src/playground/examples`)."
        )
    init = card["training"].get("init")
    more = f" Training began with the weights of {init}, whose terms apply too." if init else ""
    also = f" The photographs are {photographs}." if photographs else ""
    return f"The training data is {card['data']['name']}. Terms: {card['data']['terms']}{also} The weights are derived from this data.{more}"
