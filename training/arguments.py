"""Types of the programs' options, for argparse: a wrong value ends a program with a sentence."""

import argparse
from collections.abc import Callable, Iterable


def at_least(least: int) -> Callable[[str], int]:
    """A type for argparse: a whole number of at least `least`, which is 0 or more."""

    def parse(text: str) -> int:
        if not (text.isdecimal() and int(text) >= least):
            raise argparse.ArgumentTypeError(f"{text}: must be a whole number of at least {least}")
        return int(text)

    return parse


positive = at_least(1)
several = at_least(2)
"""The number of pictures of which a Frechet distance is computed."""


def names(allowed: Iterable[str]) -> Callable[[str], list[str]]:
    """A type for argparse: names separated by commas, each one of `allowed`."""

    def parse(text: str) -> list[str]:
        if unknown := set(found := text.split(",")) - set(allowed):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not one of {', '.join(allowed)}")
        return found

    return parse
