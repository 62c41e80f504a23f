"""What can be refused before a worker exists.

BentoML's arbiter starts a worker again whenever it ends: a wrong path would be tried for ever, a traceback
each time. So settings and bundle are checked once in the arbiter, and a fault ends the command with one
sentence.
"""

from pydantic import ValidationError

from export.manifest import BundleError, describe_faults
from service.bundle import open_bundle
from service.settings import Settings


def check_settings_and_bundle() -> None:
    """Read the settings and verify the bundle.

    Raises:
        SystemExit: With the reason, if either must not be served.
    """
    try:
        settings = Settings()
        open_bundle(settings.bundle, settings.precision)
    except ValidationError as error:
        raise SystemExit(f"ENCODEONCE_* settings: {describe_faults(error)}") from None
    except BundleError as error:
        raise SystemExit(str(error)) from None
