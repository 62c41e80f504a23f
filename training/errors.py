"""Errors of training. Each is the user's to correct, so the command line prints it without a traceback.

TrainingError
├── ConfigError        every mistake of a YAML file at once
├── DataError          a file, column, row or label that does not fit its task
├── WeightsError       an encoder that cannot be found or is not the expected file
└── CheckpointError    a folder that is no checkpoint, or one of another configuration
"""

from collections.abc import Sequence


class TrainingError(Exception):
    """Base of everything a user can correct."""


class ConfigError(TrainingError):
    """A configuration file with mistakes.

    Attributes:
        faults: One sentence a mistake, each starting with its place in the file.
    """

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        count = f"{len(faults)} mistake{'s' if len(faults) > 1 else ''}"
        super().__init__("\n  ".join([f"{source} has {count}:", *faults]))


class DataError(TrainingError):
    """Data that does not fit its task; names the file and the rows."""


class WeightsError(TrainingError):
    """Encoder weights that are missing or are not the file they should be."""


class CheckpointError(TrainingError):
    """A folder that cannot be loaded or resumed from; says why."""
