"""What is done before a worker exists: refuse what cannot be served, and find a place for the state.

BentoML's arbiter starts a worker again whenever it ends: a wrong path would be tried for ever, a traceback
each time. So settings and bundle are checked once in the arbiter, and a fault ends the command with one
sentence.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from pydantic import ValidationError

from export.manifest import BundleError, Precision, describe_faults
from service.bundle import open_bundle
from service.http.admin.listener import AdminListenError, open_socket
from service.keys.file import KeyFileError
from service.keys.ring import KeyRing
from service.providers import ProviderUnavailableError, choose_provider
from service.settings import Provider, Settings

STATE_FILE = "ENCODEONCE_STATE_FILE"


def check_settings_and_bundle() -> None:
    """Read settings and API keys, verify the bundle, and see that device and admin port can be had.

    Raises:
        SystemExit: With the reason, if they must not be served.
    """
    try:
        settings = Settings()
        # Which graph `auto` takes is measured in the worker.
        open_bundle(settings.bundle, Precision.FP32 if settings.precision == "auto" else settings.precision)
        KeyRing.read(settings.api_keys_file)
        if settings.provider is Provider.CUDA:  # auto finds something anywhere
            choose_provider(settings.provider)
        if (address := settings.admin_address) is not None:
            open_socket(*address).close()
    except ValidationError as error:
        raise SystemExit(f"ENCODEONCE_* settings: {describe_faults(error)}") from None
    except (BundleError, KeyFileError, AdminListenError, ProviderUnavailableError) as error:
        raise SystemExit(str(error)) from None


def keep_state_for_workers() -> None:
    """Name a state file, unless the settings do: a worker that is started again finds its predecessor's.

    The workers inherit the arbiter's environment. The file ends with the arbiter, so that the next service
    starts from its settings.
    """
    if STATE_FILE in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="encodeonce-")  # readable by its owner alone
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[STATE_FILE] = str(Path(folder) / "state.json")
