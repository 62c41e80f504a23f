"""Numbers on a command line."""

import argparse


def positive(text: str) -> int:
    """A count.

    Raises:
        argparse.ArgumentTypeError: If it is not above 0.
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return number


def positive_float(text: str) -> float:
    """A quantity.

    Raises:
        argparse.ArgumentTypeError: If it is not above 0.
    """
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return number
