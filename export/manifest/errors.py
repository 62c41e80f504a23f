"""Why a bundle must not be served."""


class BundleError(Exception):
    """A bundle that must not be served. The message names the file and what is wrong with it."""


class ManifestError(BundleError):
    """The manifest is unreadable, of a newer schema, or contradicts itself."""


class BundleFileError(BundleError):
    """A file that the manifest lists is missing, damaged or outside the bundle."""
