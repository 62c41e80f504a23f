import asyncio
import gc
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from export.manifest import GoldenExample, Pooling
from service.assembly import Runtime
from service.errors import SelfCheckFailed, UnknownModel
from service.garbage import hide_from_collector, hide_soon
from service.models.registry import ModelRegistry
from service.models.routing import Asked, Route
from tests.support.service_fakes import (
    PATIENCE_S,
    TAGS,
    FakeEncoderSession,
    FakeLoader,
    default_tasks,
    parts,
    running,
    task,
)

TIMEOUT_S = 60.0
OTHER = "e" * 64
"""Another encoder's fingerprint."""


def asked(version: str | None = None, **given: str) -> Asked:
    return Asked(request_id="1", version=version, **given)


async def encoder_rows(models: ModelRegistry, text: str, version: str | None = None) -> int:
    with models.lease(asked(version)) as model:
        prediction = await model.engine.predict([text], timeout_s=TIMEOUT_S)
    return prediction.usage.encoder_rows


def path_of(version: str) -> Path:
    return Path("fake") / version


def loader_of(runtime: Runtime) -> FakeLoader:
    loader = runtime.models._loader
    assert isinstance(loader, FakeLoader)
    return loader


async def test_a_bundle_with_the_same_encoder_loads_its_heads_alone_and_keeps_the_warm_cache() -> None:
    async with running(parts(), parts(version="2")) as runtime:
        assert await encoder_rows(runtime.models, "a b") == 1
        await runtime.models.load(path_of("2"))
        assert await encoder_rows(runtime.models, "a b", "2") == 0
        assert loader_of(runtime).encoders_loaded == [path_of("1.2.3")]


async def test_versions_with_one_encoder_answer_by_their_own_heads() -> None:
    async with running(parts(), parts(version="2")) as runtime:
        await runtime.models.load(path_of("2"))
        answers = []
        for version in ("1.2.3", "2"):
            with runtime.models.lease(asked(version)) as model:
                assert model.version == version
                prediction = await model.engine.predict(["a b"], tasks=["sentiment"], timeout_s=TIMEOUT_S)
                answers.append(prediction.answers[0]["sentiment"])
        assert answers[0] != answers[1]


async def test_requests_to_versions_with_one_encoder_share_a_row_on_its_way() -> None:
    encoder = FakeEncoderSession()
    async with running(parts(encoder=encoder), parts(version="2")) as runtime:
        await runtime.models.load(path_of("2"))
        rows = await asyncio.gather(*(encoder_rows(runtime.models, "a b", each) for each in ("1.2.3", "2")))
    assert sorted(rows) == [0, 1]
    assert encoder.rows_encoded == 1


async def test_a_bundle_with_another_encoder_shares_nothing_but_the_bounds() -> None:
    first, second = FakeEncoderSession(), FakeEncoderSession()
    loaded = parts(version="2", fingerprint=OTHER, encoder=second)
    async with running(parts(encoder=first), loaded) as runtime:
        await runtime.models.load(path_of("2"))
        assert await encoder_rows(runtime.models, "a b") == 1
        assert await encoder_rows(runtime.models, "a b", "2") == 1
        assert len(runtime.cache.pooled) == 2
    assert (first.rows_encoded, second.rows_encoded) == (1, 1)


@pytest.fixture
def hidden() -> Iterator[None]:
    """All that is alive, from the collector; for this test alone."""
    hide_from_collector()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("hidden")
async def test_an_encoder_that_was_hidden_is_let_go_with_its_last_model_and_the_others_stay_hidden() -> None:
    async with running(parts(), parts(version="2", fingerprint=OTHER)) as runtime:
        hide_from_collector()
        runtime.models.on_load = partial(hide_soon, anew=False, delay_s=0.0)
        runtime.models.on_unload = partial(hide_soon, anew=True, delay_s=0.0)
        first = weakref.ref(runtime.models.default.host)
        await runtime.models.load(path_of("2"))
        await turns()
        assert not is_shown(runtime.models.find(asked("2")).host), "hidden after its load"
        runtime.models.set_route("fake", Route(default="2"))
        await runtime.models.unload("fake", "1.2.3")
        await turns()
        assert first() is None
        assert not is_shown(runtime.models.default.host)


def is_shown(each: object) -> bool:
    return any(each is seen for seen in gc.get_objects())


async def turns() -> None:
    """Let the loop do what is due."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_bundle_that_wants_a_further_pooling_gets_an_encoder_that_has_it() -> None:
    wider, narrow = parts(version="2"), parts()
    entry = narrow.bundle.manifest.encoder
    object.__setattr__(entry, "poolings", (Pooling.MEAN,))
    object.__setattr__(narrow.bundle.manifest, "tasks", {"intent": task(labels=("ask", "buy", "leave"))})
    async with running(narrow, wider) as runtime:
        await runtime.models.load(path_of("2"))
        assert loader_of(runtime).encoders_loaded == [path_of("1.2.3"), path_of("2")]


async def test_the_queue_bound_holds_over_all_encoders() -> None:
    encoder = FakeEncoderSession()
    loaded = parts(version="2", fingerprint=OTHER)
    async with running(parts(encoder=encoder), loaded, queue_tokens=8, max_batch_tokens=8) as runtime:
        await runtime.models.load(path_of("2"))
        encoder.gate.clear()
        held = asyncio.create_task(encoder_rows(runtime.models, "held"))
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        waiting = asyncio.create_task(encoder_rows(runtime.models, "waiting"))
        await asyncio.sleep(0)
        with pytest.raises(Exception, match="of 8 tokens wait already"):
            await encoder_rows(runtime.models, "one two three four five", "2")
        encoder.gate.set()
        await asyncio.gather(held, waiting)


async def test_a_model_that_reads_token_states_gets_them_of_what_was_on_its_way() -> None:
    encoder = FakeEncoderSession()
    tagging = {**default_tasks(), "entities": task("tagging", labels=TAGS)}
    async with running(parts(encoder=encoder), parts(tagging, version="2")) as runtime:
        encoder.gate.clear()
        held = asyncio.create_task(encoder_rows(runtime.models, "a b"))
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        await runtime.models.load(path_of("2"))
        newcomer = asyncio.create_task(encoder_rows(runtime.models, "a b", "2"))
        await asyncio.sleep(0)
        encoder.gate.set()
        assert (await held, await newcomer) == (1, 1)


async def test_a_bundle_that_fails_its_golden_check_never_gets_traffic_and_leaves_nothing_behind() -> None:
    wrong = GoldenExample(task="sentiment", input={"text": "a"}, logits=((1e6,),))
    bad = parts(version="2", fingerprint=OTHER, golden=[wrong])
    async with running(parts(), bad) as runtime:
        told = []
        runtime.models.on_load = lambda: told.append("what it left may be let go")
        with pytest.raises(SelfCheckFailed):
            await runtime.models.load(path_of("2"))
        assert len(told) == 1
        with pytest.raises(UnknownModel, match=r"has no version '2'. Loaded: 1\.2\.3\."):
            runtime.models.find(asked("2"))
        assert len(list(runtime.models._encoders)) == 1
        assert await encoder_rows(runtime.models, "a b") == 1


async def test_an_unknown_model_is_refused_by_name() -> None:
    async with running(parts()) as runtime:
        with pytest.raises(UnknownModel, match=r"Unknown model 'other'. Loaded: fake\."):
            runtime.models.find(asked(name="other"))
