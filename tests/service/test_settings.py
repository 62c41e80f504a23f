from pathlib import Path

import pytest
from pydantic import ValidationError

from service.cpus import usable_cpus
from service.settings import Provider, Settings


def test_every_field_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_environment_sets_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODEONCE_BUNDLE", "elsewhere/bundle")
    monkeypatch.setenv("ENCODEONCE_PROVIDER", "cpu")
    monkeypatch.setenv("ENCODEONCE_THREADS", "3")
    settings = Settings()
    assert settings.bundle == Path("elsewhere/bundle")
    assert settings.provider is Provider.CPU
    assert settings.num_threads == 3


def test_auto_threads_are_the_cores_this_process_may_use() -> None:
    assert Settings().num_threads == usable_cpus()


@pytest.mark.parametrize(
    ("name", "value"),
    [("THREADS", "0"), ("THREADS", "many"), ("PROVIDER", "tpu"), ("MAX_BATCH_TOKENS", "-1")],
)
def test_a_bad_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ENCODEONCE_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_settings_do_not_change_after_the_start() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().threads = 2  # type: ignore[misc]


def test_a_refused_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODEONCE_ADMIN_KEY", "too short")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert "admin_key" in str(refused.value)
    assert "too short" not in str(refused.value)
