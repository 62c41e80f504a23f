"""The ONNX Runtime sessions on a real, tiny bundle."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.manifest import EncoderEntry, HeadInput, Pooling, Precision
from service.bundle import Bundle, open_bundle
from service.encoding import PackedEncoder
from service.lanes import Crew, Way
from service.packing import BucketedRows, FixedRows, SingleRows, pack
from service.providers import choose_provider, count_cuda_devices
from service.sessions import OnnxEncoderSession, OnnxHeadSession, row_shapes
from service.settings import Provider
from service.warmup import measure_cost
from tests.support.service_fakes import sequence

ONE_LANE = Way(lanes=1, threads=1)


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle, Precision.FP32)


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> OnnxEncoderSession:
    return OnnxEncoderSession.open(
        bundle.encoder_path, bundle.manifest.encoder, provider=Provider.CPU, way=ONE_LANE, row_len=32
    )


def test_pooled_outputs_come_in_the_order_of_the_segments(
    bundle: Bundle, session: OnnxEncoderSession
) -> None:
    entry = bundle.manifest.encoder
    batch = pack(
        [sequence(n) for n in (5, 20, 9, 24)], BucketedRows(row_len=32), pad_token_id=0, position_offset=0
    )
    outputs = session.encode(batch, with_states=True, crew=Crew.ALL)
    assert outputs.last_hidden_state is not None
    assert outputs.last_hidden_state.shape == (*batch.shape, entry.hidden_size)
    for place in batch.placements:
        states = outputs.last_hidden_state[place.row, place.start : place.start + place.length]
        np.testing.assert_allclose(outputs.pooled[Pooling.CLS][place.segment], states[0], atol=1e-5)
        np.testing.assert_allclose(
            outputs.pooled[Pooling.MEAN][place.segment], states.mean(axis=0), atol=1e-5
        )


def test_token_states_are_given_only_if_asked_for(session: OnnxEncoderSession) -> None:
    batch = pack([sequence(5)], BucketedRows(), pad_token_id=0, position_offset=0)
    assert session.encode(batch, with_states=False, crew=Crew.ALL).last_hidden_state is None


@pytest.mark.parametrize(
    "shapes", [BucketedRows(row_len=32), FixedRows(row_lens=(24, 64), row_counts=(1, 4))]
)
def test_packed_equals_alone_whatever_the_company(
    bundle: Bundle, session: OnnxEncoderSession, shapes: BucketedRows | FixedRows
) -> None:
    entry = bundle.manifest.encoder
    generator = np.random.default_rng(0)
    sequences = [sequence(int(n), first_id=5) for n in generator.integers(1, 24, size=30)]
    session.row_shapes = shapes
    packed = PackedEncoder(session, entry, needs_states=lambda _: True)
    for each, found in zip(sequences, packed.encode(sequences, Crew.ALL), strict=True):
        (alone,) = packed.encode([each], Crew.ALL)
        for pooling in entry.poolings:
            np.testing.assert_allclose(found.pooled[pooling], alone.pooled[pooling], atol=1e-4)
        assert found.states is not None
        assert alone.states is not None
        np.testing.assert_allclose(found.states, alone.states, atol=1e-4)
    session.row_shapes = BucketedRows(row_len=32)


@pytest.mark.parametrize("way", [Way(lanes=2, threads=1), Way(lanes=2, threads=2)])
def test_every_crew_gives_the_same_also_at_the_same_time(
    bundle: Bundle, session: OnnxEncoderSession, way: Way
) -> None:
    laned = OnnxEncoderSession.open(
        bundle.encoder_path, bundle.manifest.encoder, provider=Provider.CPU, way=way, row_len=32
    )
    assert laned.lanes == 2
    batches = [
        pack([sequence(n) for n in lengths], BucketedRows(row_len=32), pad_token_id=0, position_offset=0)
        for lengths in ([5], [20, 20, 20], [24, 3, 9, 24, 17, 8, 24, 24])
    ]
    expected = [session.encode(each, with_states=True, crew=Crew.ALL) for each in batches]
    with ThreadPoolExecutor(2) as threads:
        beside = list(threads.map(partial(laned.encode, with_states=True, crew=Crew.LANE), batches))
    together = [laned.encode(each, with_states=True, crew=Crew.ALL) for each in batches]
    for whole, *others in zip(expected, beside, together, strict=True):
        assert whole.last_hidden_state is not None
        for other in others:
            for pooling, vectors in whole.pooled.items():
                np.testing.assert_allclose(other.pooled[pooling], vectors, atol=1e-5)
            assert other.last_hidden_state is not None
            np.testing.assert_allclose(other.last_hidden_state, whole.last_hidden_state, atol=1e-5)


def test_a_head_gives_logits_for_each_row(bundle: Bundle) -> None:
    name, task = next(
        (n, t) for n, t in bundle.manifest.tasks.items() if t.head.inputs == (HeadInput.POOLED,)
    )
    pooled = np.zeros((3, bundle.manifest.encoder.hidden_size), dtype=np.float32)
    logits = OnnxHeadSession(bundle.head_path(name)).run({HeadInput.POOLED: pooled})
    assert logits.shape == (3, task.head.num_outputs)


def test_the_warm_up_finds_a_cost(bundle: Bundle, session: OnnxEncoderSession) -> None:
    cost = measure_cost(session, bundle.manifest.encoder, row_len=32, max_batch_tokens=128)
    assert cost.batch_s(4, 32) > 0
    assert cost.batch_s(8, 32) >= cost.batch_s(1, 32)


@pytest.fixture(scope="module")
def padded_entry(exported_family: Callable[[str], Any]) -> EncoderEntry:
    """A family that cannot be packed, with layered poolings."""
    entry: EncoderEntry = exported_family("deberta-v2").entry
    return entry


@pytest.fixture(scope="module")
def padded_session(padded_entry: EncoderEntry, exported_family: Callable[[str], Any]) -> OnnxEncoderSession:
    graph = exported_family("deberta-v2").graph
    return OnnxEncoderSession.open(graph, padded_entry, provider=Provider.CPU, way=ONE_LANE, row_len=32)


@pytest.mark.parametrize(
    "shapes", [SingleRows(), FixedRows(row_lens=(16, 24), row_counts=(1, 4), are_shared=False)]
)
def test_an_encoder_that_cannot_be_packed_answers_alike_alone_and_in_company(
    padded_entry: EncoderEntry, padded_session: OnnxEncoderSession, shapes: SingleRows | FixedRows
) -> None:
    assert isinstance(padded_session.row_shapes, SingleRows)
    generator = np.random.default_rng(0)
    sequences = [sequence(int(n), first_id=5) for n in generator.integers(1, 25, size=20)]
    padded_session.row_shapes = shapes
    encoder = PackedEncoder(padded_session, padded_entry, needs_states=lambda _: True)
    for each, found in zip(sequences, encoder.encode(sequences, Crew.ALL), strict=True):
        (alone,) = encoder.encode([each], Crew.ALL)
        for pooling in padded_entry.poolings:
            np.testing.assert_allclose(found.pooled[pooling], alone.pooled[pooling], atol=1e-4)
        assert found.states is not None
        assert alone.states is not None
        np.testing.assert_allclose(found.states, alone.states, atol=1e-4)
    padded_session.row_shapes = SingleRows()


def test_layered_vectors_are_cut_for_each_sequence(
    padded_entry: EncoderEntry, padded_session: OnnxEncoderSession
) -> None:
    encoder = PackedEncoder(padded_session, padded_entry, needs_states=lambda _: False)
    for found in encoder.encode([sequence(3), sequence(9, first_id=40), sequence(4)], Crew.ALL):
        layered = found.pooled[Pooling.MEAN_LAYERS]
        assert layered.shape == (padded_entry.num_layers + 1, padded_entry.hidden_size)
        assert layered.base is None
        np.testing.assert_allclose(layered[-1], found.pooled[Pooling.MEAN], atol=1e-5)


def test_the_warm_up_finds_a_cost_of_rows_that_are_not_shared(
    padded_entry: EncoderEntry, padded_session: OnnxEncoderSession
) -> None:
    cost = measure_cost(padded_session, padded_entry, row_len=32, max_batch_tokens=128)
    assert 0 < cost.sequence_s(4) <= cost.backlog_s(128, max_batch_tokens=128, row_len=32)


def test_a_device_gets_few_row_lengths_where_each_sequence_has_its_own(padded_entry: EncoderEntry) -> None:
    longer = padded_entry.model_copy(update={"max_length": 100})
    shapes = row_shapes(Provider.CUDA, longer, row_len=128)
    assert shapes == FixedRows(
        row_lens=(16, 32, 64, 100), row_counts=(1, 2, 4, 8, 16, 32, 64), are_shared=False
    )


@pytest.mark.skipif(count_cuda_devices() > 0, reason="this machine has a CUDA device")
def test_auto_falls_back_to_the_cpu_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    assert choose_provider(Provider.AUTO) is Provider.CPU
    assert capfd.readouterr() == ("", "")
