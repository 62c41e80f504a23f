import logging
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.assembly import start
from service.models.routing import Route, Share
from service.models.state import SavedModel, State, read_state, write_state
from service.settings import Settings
from tests.support.service_fakes import FakeLoader, Parts, parts

ORIGIN = SavedModel(path=Path("fake/1.2.3"), name="fake", version="1.2.3")
NAMES = st.text(min_size=1, max_size=8)
SHARES = st.none() | st.builds(Share, version=NAMES, percent=st.floats(0, 100))
STATES = st.builds(
    State,
    origin=st.just(ORIGIN),
    default_name=NAMES,
    models=st.tuples(st.builds(SavedModel, path=st.just(Path("a/b")), name=NAMES, version=NAMES)),
    routes=st.dictionaries(
        NAMES, st.builds(Route, default=NAMES, previous=st.none() | NAMES, canary=SHARES, shadow=SHARES)
    ),
)


@given(STATES)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, state: State) -> None:
    file = tmp_path_factory.mktemp("state") / "new" / "state.json"
    write_state(file, state)
    assert read_state(file, ORIGIN) == state
    assert [each.name for each in file.parent.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b"\xff\x00", b'{"format": 1}'])
def test_a_damaged_file_is_passed_over_with_the_reason(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_state(file, ORIGIN) is None
    assert "Starting from the settings" in caplog.text


def test_a_file_of_a_service_that_began_with_another_bundle_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_state(file, State(origin=ORIGIN, default_name="fake", models=(ORIGIN,), routes={}))
    assert read_state(file, ORIGIN.model_copy(update={"version": "2"})) is None


def test_no_file_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_state(tmp_path / "none", ORIGIN) is None
    assert not caplog.records


async def restart(file: Path, *loaded: Parts) -> tuple[list[str], Route]:
    runtime = await start(Settings(bundle=Path("fake/1.2.3"), state_file=file), FakeLoader(*loaded))
    try:
        return [model.version for model in runtime.models], runtime.models.routes["fake"]
    finally:
        await runtime.close()


async def change_and_stop(file: Path) -> None:
    """Version 2 swapped in, 3 its canary."""
    runtime = await start(
        Settings(bundle=Path("fake/1.2.3"), state_file=file),
        FakeLoader(parts(), parts(version="2"), parts(version="3")),
    )
    for version in ("2", "3"):
        await runtime.administration.load(Path("fake") / version)
    await runtime.administration.change_route("fake", {"default": "2"})
    await runtime.administration.change_route("fake", {"canary": Share(version="3", percent=10)})
    await runtime.close()


async def test_a_restarted_worker_has_the_models_and_the_route_it_had(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    await change_and_stop(file)
    versions, route = await restart(file, parts(), parts(version="2"), parts(version="3"))
    assert versions == ["1.2.3", "2", "3"]
    assert route == Route(default="2", previous="1.2.3", canary=Share(version="3", percent=10))


async def test_a_canary_that_is_gone_does_not_keep_the_default_from_being_served(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    await change_and_stop(file)
    versions, route = await restart(file, parts(), parts(version="2"))
    assert versions == ["1.2.3", "2"]
    assert route == Route(default="2", previous="1.2.3")


async def test_a_folder_that_holds_another_version_by_now_is_not_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "state.json"
    await change_and_stop(file)
    other = parts(version="4")
    replaced = replace(other, bundle=replace(other.bundle, path=Path("fake/3")))
    versions, route = await restart(file, parts(), parts(version="2"), replaced)
    assert versions == ["1.2.3", "2"]
    assert route == Route(default="2", previous="1.2.3")
    assert "fake 3 is not loaded again: fake/3 holds fake 4 now." in caplog.text


async def test_without_the_default_it_starts_from_the_settings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "state.json"
    await change_and_stop(file)
    versions, route = await restart(file, parts(), parts(version="3"))
    assert versions == ["1.2.3"]
    assert route == Route(default="1.2.3")
    assert "Starting from the settings" in caplog.text


async def test_a_changed_route_survives_a_state_file_that_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    settings = Settings(bundle=Path("fake/1.2.3"), state_file=tmp_path / "file" / "state.json")
    runtime = await start(settings, FakeLoader(parts(), parts(version="2")))
    await runtime.administration.load(Path("fake/2"))
    await runtime.administration.change_route("fake", {"default": "2"})
    assert runtime.models.default.version == "2"
    assert "cannot be written" in caplog.text
    await runtime.close()
