"""What pydantic has against a file, on one line."""

from pydantic import ValidationError


def describe_faults(error: ValidationError) -> str:
    """Every fault of a validation error on one line, each with its place."""
    places = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors(include_url=False)]
    return "; ".join(f"{place}: {message}" if place else message for place, message in places)
