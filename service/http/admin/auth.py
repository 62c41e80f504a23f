"""Who may use the admin API: whoever has its key. Without a key in the settings, nobody."""

import hmac

from fastapi import Request

from service.errors import Forbidden, Unauthorised
from service.settings import Settings


def check_key(request: Request, settings: Settings) -> None:
    """Compare the request's key with the settings', in constant time.

    Raises:
        Forbidden: If the admin API is off.
        Unauthorised: If the key is missing or wrong.
    """
    if settings.admin_key is None:
        raise Forbidden("The admin API is off. Set ENCODEONCE_ADMIN_KEY to switch it on.")
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    expected = settings.admin_key.get_secret_value().encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(key.strip().encode(), expected):
        raise Unauthorised("Expected the admin key: authorization: Bearer KEY.")
