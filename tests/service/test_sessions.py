"""The ONNX Runtime sessions on a real, tiny bundle."""

from pathlib import Path

import numpy as np
import pytest

from export.manifest import HeadInput, Pooling, Precision
from service.bundle import Bundle, open_bundle
from service.encoding import PackedEncoder
from service.packing import BucketedRows, FixedRows, pack
from service.providers import choose_provider, count_cuda_devices
from service.sessions import OnnxEncoderSession, OnnxHeadSession
from service.settings import Provider
from service.warmup import measure_cost
from tests.support.service_fakes import sequence


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle, Precision.FP32)


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> OnnxEncoderSession:
    return OnnxEncoderSession(
        bundle.encoder_path, bundle.manifest.encoder, provider=Provider.CPU, num_threads=1, row_len=32
    )


def test_pooled_outputs_come_in_the_order_of_the_segments(
    bundle: Bundle, session: OnnxEncoderSession
) -> None:
    entry = bundle.manifest.encoder
    batch = pack(
        [sequence(n) for n in (5, 20, 9, 24)], BucketedRows(row_len=32), pad_token_id=0, position_offset=0
    )
    outputs = session.encode(batch, with_states=True)
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
    assert session.encode(batch, with_states=False).last_hidden_state is None


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
    for each, found in zip(sequences, packed.encode(sequences), strict=True):
        (alone,) = packed.encode([each])
        for pooling in entry.poolings:
            np.testing.assert_allclose(found.pooled[pooling], alone.pooled[pooling], atol=1e-4)
        assert found.states is not None
        assert alone.states is not None
        np.testing.assert_allclose(found.states, alone.states, atol=1e-4)
    session.row_shapes = BucketedRows(row_len=32)


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


@pytest.mark.skipif(count_cuda_devices() > 0, reason="this machine has a CUDA device")
def test_auto_falls_back_to_the_cpu_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    assert choose_provider(Provider.AUTO) is Provider.CPU
    assert capfd.readouterr() == ("", "")
