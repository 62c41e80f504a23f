"""What ends the command before there is a worker."""

from pathlib import Path

import pytest

from service.http.admin.listener import open_socket
from service.preflight import check_settings_and_bundle
from service.providers import count_cuda_devices


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


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("REDIS_URL", "localhost:6379", "redis_url: Value error, expected redis://HOST:PORT/NUMBER"),
        ("REDIS_URL", "redis://:pass/word@host", "redis_url: Value error, expected redis://HOST:PORT/NUMBER"),
        ("REDIS_URL", "", "redis_url: Value error, expected redis://HOST:PORT/NUMBER"),
        ("PROVIDER", "cuda", "ENCODEONCE_PROVIDER is cuda, but no CUDA device answers"),
    ],
)
def test_what_would_end_every_worker_ends_the_command_with_the_reason(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    if name == "PROVIDER" and count_cuda_devices():
        pytest.skip("there is a CUDA device")
    monkeypatch.setenv("ENCODEONCE_BUNDLE", str(tiny_bundle))
    monkeypatch.setenv(f"ENCODEONCE_{name}", value)
    with pytest.raises(SystemExit) as ended:
        check_settings_and_bundle()
    assert reason in str(ended.value)
    assert "pass" not in str(ended.value)
