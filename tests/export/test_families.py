"""Every family's rows answer what transformers' own forward answers, alone and in any company."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from export.encoder import RowEncoder, encoder_inputs
from export.manifest import Layout, Pooling
from export.masks import layout_of
from export.packing import PackedRows, pack_rows
from export.sessions import Graph
from tests.support.families import CONFIGS, MAX_POSITIONS, VOCAB_SIZE, ExportedFamily, tiny_family
from training.encoder import SharedEncoder
from training.encoding import EncoderOutput
from training.families import FAMILIES
from training.pooling import pool
from training.tokenization import TokenSequence

TOLERANCE = 2e-5
MAX_LENGTH = 24
EXPORTED = ("albert", "deberta-v2", "modernbert", "roberta")
"""One family for each mechanism that the exporter meets: shared layers and factorised embeddings, relative
positions in padded rows, local windows, positions that do not start at 0. BERT's graph is in the tiny bundle.
"""

Outputs = dict[str, NDArray[np.float32]]

# From 4 on: no id of theirs is a family's padding.
tokens = st.tuples(st.integers(4, VOCAB_SIZE - 1), st.integers(0, 1))
sequences = st.lists(tokens, min_size=1, max_size=MAX_LENGTH).map(
    lambda pairs: TokenSequence(input_ids=[i for i, _ in pairs], token_type_ids=sorted(t for _, t in pairs))
)
companies = st.lists(sequences, min_size=1, max_size=7)
rooms = st.integers(0, 50)


@cache
def encoder_of(family: str) -> SharedEncoder:
    return tiny_family(family)


def poolings_of(encoder: SharedEncoder) -> list[Pooling]:
    return [pooling for pooling in Pooling if pooling is not Pooling.POOLER or encoder.has_pooler]


def output_names(encoder: SharedEncoder) -> list[str]:
    return ["last_hidden_state", *(pooling.output_name for pooling in poolings_of(encoder))]


def lay(encoder: SharedEncoder, company: Sequence[TokenSequence], room: int) -> PackedRows:
    return pack_rows(
        company,
        row_len=max(len(sequence.input_ids) for sequence in company) + room,
        position_offset=encoder.position_offset,
        pad_token_id=encoder.pad_token_id,
        layout=layout_of(encoder.family),
    )


@torch.inference_mode()
def encode_padded(encoder: SharedEncoder, company: Sequence[TokenSequence]) -> EncoderOutput:
    """transformers' own forward over one padded batch. Positions are left to the family."""
    longest = max(len(sequence.input_ids) for sequence in company)
    pad = lambda ids, fill: ids + [fill] * (longest - len(ids))  # noqa: E731
    types = [pad(each.token_type_ids, 0) for each in company]
    output = encoder.backbone(
        input_ids=torch.tensor([pad(each.input_ids, encoder.pad_token_id) for each in company]),
        attention_mask=torch.tensor([pad([1] * len(each.input_ids), 0) for each in company]),
        output_hidden_states=True,
        **({"token_type_ids": torch.tensor(types)} if encoder.uses_token_types else {}),
    )
    return EncoderOutput(
        last_hidden_state=output.last_hidden_state,
        pooler_output=getattr(output, "pooler_output", None),
        hidden_states=tuple(output.hidden_states),
    )


def assert_same(
    encoder: SharedEncoder, company: Sequence[TokenSequence], rows: PackedRows, found: Outputs
) -> None:
    """Compare token states and every pooled vector with the padded batch's."""
    expected = encode_padded(encoder, company)
    lengths = torch.tensor([len(sequence.input_ids) for sequence in company])
    mask = (torch.arange(expected.last_hidden_state.shape[1]) < lengths.unsqueeze(1)).long()
    for index, (row, start, length) in enumerate(rows.places):
        np.testing.assert_allclose(
            found["last_hidden_state"][row, start : start + length],
            expected.last_hidden_state[index, :length],
            atol=TOLERANCE,
        )
    for pooling in poolings_of(encoder):
        np.testing.assert_allclose(
            found[pooling.output_name], pool(pooling.value, expected, mask), atol=TOLERANCE
        )


@torch.inference_mode()
def encode_rows(encoder: SharedEncoder, rows: PackedRows) -> Outputs:
    module = RowEncoder(encoder, poolings_of(encoder), MAX_LENGTH).eval()
    outputs = module(*(torch.from_numpy(rows.tensors[name]) for name in encoder_inputs(encoder)))
    return {name: tensor.numpy() for name, tensor in zip(output_names(encoder), outputs, strict=True)}


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=8)
@given(company=companies, room=rooms)
def test_rows_equal_transformers_own_padded_forward(
    name: str, company: list[TokenSequence], room: int
) -> None:
    encoder = encoder_of(name)
    rows = lay(encoder, company, room)
    assert_same(encoder, company, rows, encode_rows(encoder, rows))


@pytest.fixture(scope="module", params=EXPORTED)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def exported(family: str, exported_family: Callable[[str], ExportedFamily]) -> ExportedFamily:
    return exported_family(family)


@pytest.fixture(scope="module")
def graph(exported: ExportedFamily) -> Graph:
    return Graph(exported.graph)


def run_graph(graph: Graph, rows: PackedRows) -> Outputs:
    return graph.run({name: rows.tensors[name] for name in graph.inputs})


@settings(max_examples=12)
@given(company=companies, room=rooms)
def test_a_graph_equals_transformers_own_padded_forward(
    exported: ExportedFamily, graph: Graph, company: list[TokenSequence], room: int
) -> None:
    assert graph.outputs == tuple(output_names(exported.encoder))
    rows = lay(exported.encoder, company, room)
    assert_same(exported.encoder, company, rows, run_graph(graph, rows))


@settings(max_examples=12)
@given(company=companies, data=st.data(), room=rooms)
def test_company_changes_nothing_in_a_graph(
    exported: ExportedFamily, graph: Graph, company: list[TokenSequence], data: st.DataObject, room: int
) -> None:
    encoder = exported.encoder
    order = data.draw(st.permutations(range(len(company))), label="order")
    together = run_graph(graph, lay(encoder, [company[index] for index in order], room))
    for segment, index in enumerate(order):
        alone = run_graph(graph, lay(encoder, [company[index]], 0))
        for pooling in exported.entry.poolings:
            name = pooling.output_name
            np.testing.assert_allclose(together[name][segment], alone[name][0], atol=TOLERANCE)


def test_a_graph_has_no_operator_that_runs_on_one_thread(exported: ExportedFamily) -> None:
    operators = {node.op_type for node in onnx.load(exported.graph).graph.node}
    assert not [operator for operator in operators if operator.startswith("Scatter")]


def test_every_supported_family_is_checked_here() -> None:
    assert set(CONFIGS) == set(FAMILIES)


@pytest.mark.parametrize(
    ("name", "offset", "has_types", "has_pooler", "layout"),
    [
        ("albert", 0, True, True, Layout.PACKED),
        ("bert", 0, True, True, Layout.PACKED),
        ("deberta", 0, False, False, Layout.PADDED),
        ("deberta-v2", 0, False, False, Layout.PADDED),
        ("distilbert", 0, False, False, Layout.PACKED),
        ("electra", 0, True, False, Layout.PACKED),
        ("modernbert", 0, False, False, Layout.PACKED),
        ("mpnet", 2, False, True, Layout.PACKED),
        ("roberta", 2, False, True, Layout.PACKED),
        ("xlm-roberta", 2, False, True, Layout.PACKED),
    ],
)
def test_a_family_knows_its_positions_inputs_pooler_and_layout(
    name: str, offset: int, has_types: bool, has_pooler: bool, layout: Layout
) -> None:
    encoder = encoder_of(name)
    assert encoder.position_offset == offset
    assert encoder.max_positions == MAX_POSITIONS - offset
    assert ("token_type_ids" in encoder_inputs(encoder)) == has_types
    assert encoder.has_pooler == has_pooler
    assert layout_of(encoder.family) is layout


def test_the_longest_sequence_a_family_takes_is_encoded() -> None:
    """RoBERTa's positions do not start at 0: its longest sequence is shorter than its table of positions."""
    encoder = encoder_of("roberta")
    whole = TokenSequence(input_ids=[9] * encoder.max_positions, token_type_ids=[0] * encoder.max_positions)
    rows = lay(encoder, [whole], 0)
    module = RowEncoder(encoder, poolings_of(encoder), encoder.max_positions).eval()
    with torch.inference_mode():
        states, *_ = module(*(torch.from_numpy(rows.tensors[name]) for name in encoder_inputs(encoder)))
    np.testing.assert_allclose(
        states[0], encode_padded(encoder, [whole]).last_hidden_state[0], atol=TOLERANCE
    )
