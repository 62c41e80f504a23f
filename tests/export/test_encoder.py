"""The packed graph answers what transformers' own padded forward answers, whatever the company."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from export.encoder import OwnPooler, RowEncoder
from export.manifest import Manifest, Pooling
from export.packing import pack_rows
from export.sessions import Graph
from training.assembly.trained import TrainedModel
from training.tokenization import TokenSequence

TOLERANCE = 1e-4
MAX_LENGTH = 24

Encoded = tuple[list[np.ndarray], dict[str, np.ndarray]]
Encode = Callable[[list[TokenSequence], int], Encoded]

tokens = st.tuples(st.integers(5, 110), st.integers(0, 1))
sequences = st.lists(tokens, min_size=1, max_size=MAX_LENGTH).map(
    lambda pairs: TokenSequence(input_ids=[i for i, _ in pairs], token_type_ids=sorted(t for _, t in pairs))
)


@pytest.fixture(scope="module")
def encode(tiny_bundle: Path, manifest: Manifest) -> Encode:
    """Sequences, packed into rows of that length → token states of each, and the pooled outputs."""
    graph = Graph(tiny_bundle / "encoder.onnx")

    def run(sequences: list[TokenSequence], row_len: int) -> Encoded:
        rows = pack_rows(sequences, row_len=row_len, position_offset=0, pad_token_id=0)
        outputs = graph.run(rows.feed(manifest.encoder))
        states = outputs.pop("last_hidden_state")
        return [states[row, start : start + length] for row, start, length in rows.places], outputs

    return run


@pytest.fixture(scope="module")
def padded(trained: TrainedModel) -> Callable[[list[TokenSequence]], list[np.ndarray]]:
    """transformers' own forward over one padded batch → token states of each sequence."""

    @torch.inference_mode()
    def run(sequences: list[TokenSequence]) -> list[np.ndarray]:
        longest = max(len(sequence.input_ids) for sequence in sequences)
        fill = lambda ids: ids + [0] * (longest - len(ids))  # noqa: E731
        states = trained.model.encoder.backbone(
            input_ids=torch.tensor([fill(s.input_ids) for s in sequences]),
            attention_mask=torch.tensor([fill([1] * len(s.input_ids)) for s in sequences]),
            token_type_ids=torch.tensor([fill(s.token_type_ids) for s in sequences]),
        ).last_hidden_state
        return [state[: len(s.input_ids)].numpy() for state, s in zip(states, sequences, strict=True)]

    return run


@settings(max_examples=40)
@given(company=st.lists(sequences, min_size=1, max_size=10), room=st.integers(0, 60))
def test_packed_rows_equal_transformers_own_padded_forward(
    encode: Encode,
    padded: Callable[[list[TokenSequence]], list[np.ndarray]],
    company: list[TokenSequence],
    room: int,
) -> None:
    row_len = max(len(sequence.input_ids) for sequence in company) + room
    states, pooled = encode(company, row_len)
    expected = padded(company)
    for found, wanted in zip(states, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(pooled["pooled_cls"], [s[0] for s in expected], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(pooled["pooled_mean"], [s.mean(0) for s in expected], atol=TOLERANCE, rtol=0)


@settings(max_examples=40)
@given(
    sequence=sequences,
    before=st.lists(sequences, max_size=5),
    after=st.lists(sequences, max_size=5),
    room=st.integers(0, 60),
)
def test_company_changes_nothing(
    encode: Encode,
    sequence: TokenSequence,
    before: list[TokenSequence],
    after: list[TokenSequence],
    room: int,
) -> None:
    """What a boolean mask, silently wrong in transformers, would fail."""
    (alone,), pooled_alone = encode([sequence], len(sequence.input_ids))
    states, pooled = encode([*before, sequence, *after], MAX_LENGTH + room)
    np.testing.assert_allclose(states[len(before)], alone, atol=TOLERANCE, rtol=0)
    for name, vectors in pooled.items():
        np.testing.assert_allclose(vectors[len(before)], pooled_alone[name][0], atol=TOLERANCE, rtol=0)


@given(lengths=st.lists(st.integers(1, MAX_LENGTH), min_size=2, max_size=12), seed=st.integers(0, 99))
def test_pooled_vectors_come_in_the_order_of_the_segments(
    encode: Encode, lengths: list[int], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    company = [
        TokenSequence(input_ids=generator.integers(5, 110, n).tolist(), token_type_ids=[0] * n)
        for n in lengths
    ]
    states, pooled = encode(company, MAX_LENGTH)
    assert pooled["pooled_cls"].shape == (len(company), 32)
    np.testing.assert_array_equal(pooled["pooled_cls"], [state[0] for state in states])


def test_different_texts_have_different_vectors(encode: Encode) -> None:
    """The company tests would pass for an encoder that ignores its input."""
    one, two = (TokenSequence(input_ids=[2, word, 3], token_type_ids=[0, 0, 0]) for word in (9, 21))
    _, pooled = encode([one, two], 6)
    assert np.abs(pooled["pooled_mean"][0] - pooled["pooled_mean"][1]).max() > 0.05


def test_the_graph_names_its_inputs_and_outputs(tiny_bundle: Path) -> None:
    graph = Graph(tiny_bundle / "encoder.onnx")
    assert set(graph.inputs) == {"input_ids", "position_ids", "segment_ids", "token_type_ids"}
    assert graph.outputs == ("last_hidden_state", "pooled_cls", "pooled_mean")


def test_packing_leaves_the_trained_model_as_it_was(trained: TrainedModel) -> None:
    before = trained.model.encoder.config._attn_implementation
    rows = RowEncoder(trained.model.encoder, [Pooling.CLS], MAX_LENGTH)
    assert rows.backbone.config._attn_implementation == "eager"
    assert trained.model.encoder.config._attn_implementation == before == "sdpa"


def test_the_graph_has_only_the_poolings_that_are_asked_for(trained: TrainedModel) -> None:
    encoder = trained.model.encoder
    rows = RowEncoder(encoder, [Pooling.MEAN], MAX_LENGTH).eval()
    ids = torch.tensor([[2, 5, 6, 3]])
    outputs = rows(ids, torch.arange(4).unsqueeze(0), torch.zeros_like(ids), torch.zeros_like(ids))
    assert [tuple(output.shape) for output in outputs] == [(1, 4, 32), (1, 32)]


def test_pooler_of_an_encoder_without_one_is_an_error(trained: TrainedModel) -> None:
    with pytest.raises(ValueError, match="needs an encoder that has a pooler"):
        OwnPooler(nn.Module())(torch.zeros(1, 8))
