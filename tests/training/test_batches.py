from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.batches import MEGABATCH, ExampleStream, collate, epoch_batches
from training.examples import EncodedExamples
from training.tokenization import TokenSequence

lengths_of_examples = st.lists(st.integers(2, 40), min_size=1, max_size=120).map(np.array)


def stream_of(
    lengths: np.ndarray, *, name: str = "task", batch_size: int = 4, seed: int = 0
) -> ExampleStream:
    return ExampleStream(name, lengths, batch_size=batch_size, seed=seed)


def take(stream: ExampleStream, count: int) -> list[list[int]]:
    return [stream.next().tolist() for _ in range(count)]


def sequence(*ids: int, types: int = 0) -> TokenSequence:
    return TokenSequence(input_ids=list(ids), token_type_ids=[types] * len(ids))


def examples_of(sequences: Sequence[Sequence[TokenSequence]], *, bi_encoded: bool = False) -> EncodedExamples:
    return EncodedExamples(
        sequences=[tuple(each) for each in sequences],
        targets=[np.zeros(1)] * len(sequences),
        references=[None] * len(sequences),
        bi_encoded=bi_encoded,
    )


@given(lengths=lengths_of_examples, batch_size=st.integers(1, 16), seed=st.integers(0, 9))
def test_every_example_comes_exactly_once_an_epoch(lengths: np.ndarray, batch_size: int, seed: int) -> None:
    stream = stream_of(lengths, batch_size=batch_size, seed=seed)
    batches_an_epoch = -(-len(lengths) // batch_size)
    for _ in range(3):
        epoch = take(stream, batches_an_epoch)
        assert sorted(index for batch in epoch for index in batch) == list(range(len(lengths)))
        assert sum(len(batch) < batch_size for batch in epoch) == (len(lengths) % batch_size > 0)


def test_examples_of_a_batch_have_similar_lengths() -> None:
    lengths = np.random.default_rng(0).integers(2, 128, size=MEGABATCH * 8)
    batches = epoch_batches(lengths, 8, np.random.default_rng(0))
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    assert spread < 8, "neighbours in a megabatch of 50 batches; random batches spread over about 100"


def test_batches_of_an_epoch_come_in_random_order_and_not_by_length() -> None:
    lengths = np.random.default_rng(0).integers(2, 128, size=400)
    means = [lengths[batch].mean() for batch in epoch_batches(lengths, 8, np.random.default_rng(0))]
    assert means != sorted(means, reverse=True)


@given(lengths=lengths_of_examples, batch_size=st.integers(1, 9), before=st.integers(0, 60))
def test_a_stream_resumes_exactly_wherever_it_stood(
    lengths: np.ndarray, batch_size: int, before: int
) -> None:
    stream = stream_of(lengths, batch_size=batch_size)
    take(stream, before)
    resumed = stream_of(lengths, batch_size=batch_size)
    resumed.load_state_dict(stream.state_dict())
    assert take(resumed, 30) == take(stream, 30)


def test_the_order_depends_on_seed_task_and_epoch_alone() -> None:
    lengths = np.full(40, 7)
    first = take(stream_of(lengths), 10)
    assert take(stream_of(lengths), 10) == first
    assert take(stream_of(lengths, seed=1), 10) != first
    assert take(stream_of(lengths, name="other"), 10) != first
    second_epoch = take(stream_of(lengths), 20)[10:]
    assert second_epoch != first


@given(
    lengths=st.lists(st.lists(st.integers(2, 9), min_size=2, max_size=4), min_size=1, max_size=6),
    pad_token_id=st.integers(0, 3),
)
def test_collate_pads_behind_each_sequence_and_masks_the_padding(
    lengths: list[list[int]], pad_token_id: int
) -> None:
    examples = examples_of([[sequence(*range(10, 10 + n), types=n % 2) for n in each] for each in lengths])
    indices = list(range(len(lengths)))[::-1]
    inputs = collate(examples, indices, pad_token_id=pad_token_id).inputs
    expected = [one for index in indices for one in examples.sequences[index]]
    assert inputs.input_ids.shape == (sum(map(len, lengths)), max(map(max, lengths)))
    for number, (row, mask, types, segments, one) in enumerate(
        zip(
            inputs.input_ids,
            inputs.attention_mask,
            inputs.token_type_ids,
            inputs.segment_ids,
            expected,
            strict=True,
        )
    ):
        length = len(one.input_ids)
        assert row[:length].tolist() == one.input_ids
        assert types[:length].tolist() == one.token_type_ids
        assert mask.tolist() == [1] * length + [0] * (len(row) - length)
        assert segments.tolist() == [number] * length + [-1] * (len(row) - length)
        assert set(row[length:].tolist()) <= {pad_token_id}


def test_each_sequence_is_a_row_of_its_own_unless_they_meet() -> None:
    examples = examples_of([[sequence(1, 1), sequence(2, 2)], [sequence(3, 3)]])
    batch = collate(examples, [1, 0], pad_token_id=0)
    assert batch.inputs.rows.tolist() == [[0], [1], [2]]
    assert batch.example_ids.tolist() == [0, 1, 1]


def test_the_first_sequence_of_a_bi_encoded_example_meets_each_of_the_others() -> None:
    pair = [sequence(1, 1), sequence(2, 2)]
    query = [sequence(3, 3), sequence(4, 4), sequence(5, 5)]
    batch = collate(examples_of([pair, query], bi_encoded=True), [0, 1], pad_token_id=0)
    assert batch.inputs.rows.tolist() == [[0, 1], [2, 3], [2, 4]]
    assert batch.example_ids.tolist() == [0, 1, 1]


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_targets_lie_end_to_end_in_their_own_type(dtype: type) -> None:
    examples = EncodedExamples(
        sequences=[(sequence(1, 2),), (sequence(1, 2),)],
        targets=[np.array([1, 2], dtype=dtype), np.array([3], dtype=dtype)],
        references=[None, None],
    )
    targets = collate(examples, [1, 0], pad_token_id=0).targets
    assert targets.tolist() == [3, 1, 2]
    assert targets.numpy().dtype == dtype


def test_a_batch_moves_as_a_whole() -> None:
    moved = collate(examples_of([[sequence(1, 2)]]), [0], pad_token_id=0).to(torch.device("meta"))
    inputs = moved.inputs
    tensors = (
        inputs.input_ids,
        inputs.attention_mask,
        inputs.token_type_ids,
        inputs.rows,
        inputs.segment_ids,
    )
    assert {tensor.device.type for tensor in (*tensors, moved.targets, moved.example_ids)} == {"meta"}
