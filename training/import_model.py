"""Import an unconditional DDPM that somebody else has trained as a model version that the service can load.

    python import_model.py diffusers google/ddpm-celebahq-256 --id celebahq-256 --out ../models
    python import_model.py diffusers my-pipeline/ --id mine --out ../models --licence "CC BY 4.0"
    python import_model.py openai celeba256_250000.pt --id celeba-256 --out ../models --licence "CC BY-NC-SA 4.0" \\
        --flags --image_size 256 --num_channels 256 --attention_resolutions 32,16,8 --num_head_channels 64 \\
        --learn_sigma True --resblock_updown True

diffusers: a folder that a pipeline was saved to, or the id of one on the Hugging Face hub (needs huggingface_hub), whose
network is an unconditional UNet2DModel. openai: a checkpoint of guided-diffusion; --flags are those that its scripts are
given for it, and come last. The model fills holes with RePaint, in minutes where it is large: the report says how long.
"""

import argparse
import sys
from pathlib import Path

from importing.guided import read_checkpoint
from importing.hub import folder_of
from importing.pipeline_folder import read_folder
from importing.source import Source, UnsupportedModel
from importing.version import Description, write_version
from register import next_version


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    diffusers = kinds.add_parser("diffusers", help="a pipeline folder of diffusers, or an id on the hub")
    diffusers.add_argument("model", help="the folder, or owner/model")
    openai = kinds.add_parser("openai", help="a checkpoint of OpenAI's guided-diffusion")
    openai.add_argument("model", type=Path, help="the .pt file")
    for kind in (diffusers, openai):
        kind.add_argument("--id", required=True, help="name of the model in the service")
        kind.add_argument("--out", type=Path, required=True, help="MODEL_DIR: the folder that contains the models")
        kind.add_argument("--version", help="a whole number (default: the next free one)")
        kind.add_argument("--licence", help="licence of the weights (default: as the pipeline folder's README.md names it)")
        kind.add_argument("--source", help="where the model comes from, for its card (default: the name of the folder or file)")
        kind.add_argument("--force", action="store_true", help="replace an existing version")
    openai.add_argument("--flags", nargs=argparse.REMAINDER, default=[], help="the flags of guided-diffusion's scripts; last")
    return parser.parse_args(arguments)


def read(args: argparse.Namespace) -> Source:
    if args.kind == "openai":
        return read_checkpoint(args.model, args.flags)
    return read_folder(folder_of(args.model))


def run(arguments: list[str]) -> tuple[Path, str]:
    """Import what the arguments name; return the new folder and the report. Raises ValueError, of which UnsupportedModel is one, or OSError."""
    args = parse(arguments)
    source = read(args)
    licence = args.licence or source.licence
    if not licence:
        raise UnsupportedModel("name the licence of the weights with --licence: the source does not say.")
    local = Path(args.model)
    name = args.source or (local.name if local.exists() else str(args.model))  # a local path says nothing to others
    version = args.version or next_version(args.out, args.id)
    return write_version(source, Description(args.id, version, licence, name), args.out, args.force)


def main():
    try:
        folder, report = run(sys.argv[1:])
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    print(f"{folder}: {report}")


if __name__ == "__main__":
    main()
