import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from export.manifest import PADDING_SEGMENT, EncoderInput, Layout, Manifest
from export.packing import pack_rows
from training.tokenization import TokenSequence

sequences = st.lists(
    st.lists(st.integers(1, 99), min_size=1, max_size=9).map(
        lambda ids: TokenSequence(input_ids=ids, token_type_ids=[n % 2 for n in range(len(ids))])
    ),
    min_size=1,
    max_size=12,
)


@given(sequences=sequences, room=st.integers(0, 20), offset=st.integers(0, 3), pad_token_id=st.integers(0, 3))
def test_every_token_lies_in_the_rows_once_and_tails_are_padding(
    sequences: list[TokenSequence], room: int, offset: int, pad_token_id: int
) -> None:
    row_len = max(len(sequence.input_ids) for sequence in sequences) + room
    rows = pack_rows(sequences, row_len=row_len, position_offset=offset, pad_token_id=pad_token_id)
    segments = rows.tensors[EncoderInput.SEGMENT_IDS]
    for number, (sequence, (row, start, length)) in enumerate(zip(sequences, rows.places, strict=True)):
        where = (row, slice(start, start + length))
        assert rows.tensors[EncoderInput.INPUT_IDS][where].tolist() == sequence.input_ids
        assert rows.tensors[EncoderInput.TOKEN_TYPE_IDS][where].tolist() == sequence.token_type_ids
        assert rows.tensors[EncoderInput.POSITION_IDS][where].tolist() == list(range(offset, offset + length))
        assert (segments == number).sum() == length
        assert set(segments[where]) == {number}
    tails = segments == PADDING_SEGMENT
    assert tails.sum() == segments.size - sum(len(sequence.input_ids) for sequence in sequences)
    assert set(rows.tensors[EncoderInput.INPUT_IDS][tails].tolist()) <= {pad_token_id}
    assert {tensor.shape for tensor in rows.tensors.values()} == {(segments.shape[0], row_len)}
    assert {tensor.dtype for tensor in rows.tensors.values()} == {np.dtype(np.int64)}


def test_a_sequence_that_does_not_fit_opens_the_next_row() -> None:
    sequences = [TokenSequence(input_ids=[7] * n, token_type_ids=[0] * n) for n in (3, 2, 4, 1)]
    rows = pack_rows(sequences, row_len=5, position_offset=0, pad_token_id=0)
    assert rows.places == [(0, 0, 3), (0, 3, 2), (1, 0, 4), (1, 4, 1)]


def test_padded_rows_hold_one_sequence_each() -> None:
    sequences = [TokenSequence(input_ids=[7] * n, token_type_ids=[0] * n) for n in (3, 1, 4)]
    rows = pack_rows(sequences, row_len=5, position_offset=2, pad_token_id=0, layout=Layout.PADDED)
    assert rows.places == [(0, 0, 3), (1, 0, 1), (2, 0, 4)]
    assert rows.tensors[EncoderInput.SEGMENT_IDS].tolist() == [
        [0, 0, 0, -1, -1], [1, -1, -1, -1, -1], [2, 2, 2, 2, -1]
    ]  # fmt: skip


def test_the_feed_has_the_graphs_inputs_alone(manifest: Manifest) -> None:
    rows = pack_rows(
        [TokenSequence(input_ids=[1, 2], token_type_ids=[0, 0])], row_len=2, position_offset=0, pad_token_id=0
    )
    assert list(rows.feed(manifest.encoder)) == list(manifest.encoder.inputs)
    untyped = manifest.encoder.model_copy(update={"inputs": (EncoderInput.INPUT_IDS,)})
    assert list(rows.feed(untyped)) == ["input_ids"]
