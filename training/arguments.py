"""Types of the programs' options, for argparse: a wrong value ends a program with a sentence."""

import argparse
from collections.abc import Callable, Iterable


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number of at least 1")
    return int(text)


def names(allowed: Iterable[str]) -> Callable[[str], list[str]]:
    """A type for argparse: names separated by commas, each one of `allowed`."""

    def parse(text: str) -> list[str]:
        if unknown := set(found := text.split(",")) - set(allowed):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not one of {', '.join(allowed)}")
        return found

    return parse
