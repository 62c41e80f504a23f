"""Errors of export. Each says what was expected, what was found and what to do.

export.manifest.BundleError
└── ExportError          a checkpoint that cannot become a bundle
    └── ParityError      ONNX Runtime does not answer what the torch model answers
"""

from export.manifest import BundleError


class ExportError(BundleError):
    """A checkpoint that cannot become a bundle."""


class ParityError(ExportError):
    """A graph differs from the torch model by more than its tolerance."""
