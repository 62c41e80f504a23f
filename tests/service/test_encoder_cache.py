import itertools
import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from export.manifest import Pooling, Precision
from service.encoder_cache import EncoderCache, encoder_namespace, sequence_key
from service.encoding import Encoding, Rounding
from service.settings import CacheDtype
from service.tokenization import TextPair
from tests.support.service_fakes import FakeTokenizer, manifest, task, tokens

HALF = Rounding(CacheDtype.FP16)
BOTH = frozenset(Pooling)
NAMESPACE = encoder_namespace(manifest(), Precision.FP32)

IDS = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6)


def encoding(value: float = 0.0, *, num_tokens: int = 3, with_states: bool = False) -> Encoding:
    vector = np.full(384, value, dtype=np.float32)
    states = np.full((num_tokens, 384), value, dtype=np.float32) if with_states else None
    return Encoding(pooled={pooling: vector.copy() for pooling in Pooling}, states=states)


@given(st.lists(st.tuples(IDS, st.randoms(use_true_random=False)), min_size=2, max_size=2))
def test_keys_are_equal_exactly_if_ids_types_and_form_are(
    drawn: list[tuple[list[int], random.Random]],
) -> None:
    first, second = (
        tokens(*ids, types=[rng.randint(0, 1) for _ in ids], is_pair=rng.random() < 0.5) for ids, rng in drawn
    )
    same = (first.input_ids.tolist(), first.token_type_ids.tolist(), first.is_pair) == (
        second.input_ids.tolist(),
        second.token_type_ids.tolist(),
        second.is_pair,
    )
    assert (sequence_key(NAMESPACE, first) == sequence_key(NAMESPACE, second)) == same


async def test_texts_that_join_alike_have_different_keys() -> None:
    inputs = [
        TextPair("a b", "c"),
        TextPair("a", "b c"),
        "a b c",
        TextPair("a b c", ""),
        TextPair("", "a b c"),
        "a",
        TextPair("c", "a b"),
    ]
    keys = [sequence_key(NAMESPACE, each) for (each,) in await FakeTokenizer().tokenize(inputs)]
    assert len(set(keys)) == len(inputs)


async def test_truncation_is_part_of_the_identity() -> None:
    text = ["one two three four five six"]
    ((short,),) = await FakeTokenizer(max_length=4).tokenize(text)
    ((long,),) = await FakeTokenizer(max_length=8).tokenize(text)
    assert sequence_key(NAMESPACE, short) != sequence_key(NAMESPACE, long)


def test_a_pair_and_a_text_that_spells_its_separator_have_different_keys() -> None:
    ids = [1, 7, 2, 8, 2]
    pair, text = tokens(*ids, is_pair=True), tokens(*ids)
    assert sequence_key(NAMESPACE, pair) != sequence_key(NAMESPACE, text)


def test_encoder_precision_calibration_and_rounding_part_the_keys() -> None:
    served = manifest()
    other = "e" * 64
    other_encoder = manifest({"intent": task(fingerprint=other)}, fingerprint=other)
    files = dict(served.files)
    files["encoder.int8.onnx"] = files["encoder.int8.onnx"].model_copy(update={"sha256": "2" * 64})
    recalibrated = served.model_copy(update={"files": files})
    namespaces = [
        encoder_namespace(served, Precision.FP32),
        encoder_namespace(served, Precision.INT8),
        encoder_namespace(recalibrated, Precision.INT8),
        encoder_namespace(other_encoder, Precision.FP32),
        encoder_namespace(served, Precision.FP32, HALF),
        encoder_namespace(served, Precision.INT8, HALF),
    ]
    assert all(a != b for a, b in itertools.combinations(namespaces, 2))


def test_a_new_export_of_the_same_fp32_encoder_keeps_its_keys() -> None:
    served = manifest()
    files = {name: entry.model_copy(update={"sha256": "9" * 64}) for name, entry in served.files.items()}
    exported_again = served.model_copy(update={"files": files, "version": "2"})
    assert encoder_namespace(exported_again, Precision.FP32) == NAMESPACE


def test_both_stores_stay_within_their_bytes_under_a_long_random_load() -> None:
    cache = EncoderCache(pooled_bytes=300_000, states_bytes=500_000)
    generator = random.Random(7)
    for step in range(5000):
        key = generator.randrange(400).to_bytes(2, "big")
        if cache.get(key, poolings=BOTH, with_states=True) is None:
            cache.put(key, encoding(step, num_tokens=generator.randrange(1, 40), with_states=True))
        assert cache.pooled.num_bytes <= 300_000
        assert cache.states.num_bytes <= 500_000
    assert cache.pooled.num_evicted > 0
    assert cache.states.num_evicted > 0


def test_token_states_are_asked_for_separately() -> None:
    cache = EncoderCache(pooled_bytes=10**6, states_bytes=10**6)
    cache.put(b"k", encoding())
    assert cache.get(b"k", poolings=BOTH, with_states=False) is not None
    assert cache.get(b"k", poolings=BOTH, with_states=True) is None
    assert len(cache.states) == 0


def test_an_entry_without_a_wanted_pooling_is_a_miss() -> None:
    cache = EncoderCache(pooled_bytes=10**6, states_bytes=0)
    cache.put(b"k", Encoding(pooled={Pooling.MEAN: np.zeros(3, dtype=np.float32)}, states=None))
    assert cache.get(b"k", poolings=frozenset({Pooling.MEAN}), with_states=False) is not None
    assert cache.get(b"k", poolings=BOTH, with_states=False) is None


def test_layered_vectors_are_charged_for_every_layer() -> None:
    cache = EncoderCache(pooled_bytes=10**6, states_bytes=0)
    plain = np.zeros(384, dtype=np.float32)
    cache.put(b"k", Encoding(pooled={Pooling.MEAN: plain}, states=None))
    before = cache.pooled.num_bytes
    layered = np.zeros((7, 384), dtype=np.float32)
    cache.put(b"k", Encoding(pooled={Pooling.MEAN: plain, Pooling.MEAN_LAYERS: layered}, states=None))
    assert cache.pooled.num_bytes - before >= layered.nbytes
