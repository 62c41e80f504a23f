import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.batches import MEGABATCH, Batch, ExampleStream, collate, epoch_batches
from training.data import EncodedExamples
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
    lengths=st.lists(st.tuples(st.integers(2, 9), st.integers(2, 9)), min_size=1, max_size=6),
    pad_token_id=st.integers(0, 3),
)
def test_collate_pads_behind_each_sequence_and_masks_the_padding(
    lengths: list[tuple[int, int]], pad_token_id: int
) -> None:
    examples = EncodedExamples(
        sequences=[(sequence(*range(10, 10 + a)), sequence(*range(20, 20 + b), types=1)) for a, b in lengths],
        labels=np.arange(len(lengths), dtype=np.float64),
    )
    indices = list(range(len(lengths)))[::-1]
    batch = collate(examples, indices, pad_token_id=pad_token_id, labelled=True)
    expected = [examples.sequences[index][side] for side in (0, 1) for index in indices]
    assert batch.input_ids.shape == (2 * len(lengths), max(map(max, lengths)))
    for row, mask, types, one in zip(
        batch.input_ids, batch.attention_mask, batch.token_type_ids, expected, strict=True
    ):
        length = len(one.input_ids)
        assert row[:length].tolist() == one.input_ids
        assert types[:length].tolist() == one.token_type_ids
        assert mask.tolist() == [1] * length + [0] * (len(row) - length)
        assert set(row[length:].tolist()) <= {pad_token_id}
    assert batch.labels.tolist() == indices


def test_a_pairs_first_texts_come_before_all_second_ones() -> None:
    examples = EncodedExamples(
        sequences=[(sequence(1, 1), sequence(2, 2)), (sequence(3, 3), sequence(4, 4))], labels=np.zeros(2)
    )
    batch = collate(examples, [0, 1], pad_token_id=0, labelled=False)
    assert batch.input_ids[:, 0].tolist() == [1, 3, 2, 4]
    assert batch.sequences_per_example == 2


def test_labels_are_indices_and_values_are_floats() -> None:
    examples = EncodedExamples(sequences=[(sequence(1, 2),)], labels=np.array([1.0]))
    assert collate(examples, [0], pad_token_id=0, labelled=True).labels.dtype == torch.int64
    assert collate(examples, [0], pad_token_id=0, labelled=False).labels.dtype == torch.float32


def test_a_batch_moves_as_a_whole() -> None:
    examples = EncodedExamples(sequences=[(sequence(1, 2),)], labels=np.array([1.0]))
    moved = collate(examples, [0], pad_token_id=0, labelled=True).to(torch.device("meta"))
    assert isinstance(moved, Batch)
    tensors = (moved.input_ids, moved.attention_mask, moved.token_type_ids, moved.labels)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
