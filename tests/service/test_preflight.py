"""What ends the command before there is a worker."""

from pathlib import Path

import pytest

from service.http.admin.listener import open_socket
from service.preflight import check_settings_and_bundle


def test_an_admin_port_that_is_taken_ends_the_command_with_the_reason(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCODEONCE_BUNDLE", str(tiny_bundle))
    monkeypatch.setenv("ENCODEONCE_ADMIN_KEY", "a key of 16 signs")
    with open_socket("127.0.0.1", 0) as taken:
        monkeypatch.setenv("ENCODEONCE_ADMIN_PORT", str(taken.getsockname()[1]))
        with pytest.raises(SystemExit, match=r"The admin API cannot listen on 127\.0\.0\.1 port"):
            check_settings_and_bundle()
    check_settings_and_bundle()
