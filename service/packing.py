"""Sequences → packed rows: they lie end to end, so that almost no token is padding.

    lengths 5, 3, 2 in rows of 8:   segment_ids  0 0 0 0 0 1 1 1
                                                 2 2 - - - - - -        (- is PADDING_SEGMENT)

Encoders whose attention cannot be kept to a segment get a row for each sequence.

The encoder graph gives one pooled vector per segment, in the order of the segments' first tokens; segment ids
therefore ascend row by row, and a sequence's segment id is its place in the pooled outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from export.manifest import PADDING_SEGMENT
from service.tokenization import TokenizedInput


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLayout:
    """Which sequence goes into which row."""

    rows: tuple[tuple[int, ...], ...]
    """Indices of the sequences of each row, in order. Trailing rows may be empty."""
    row_len: int


class RowShapes(Protocol):
    """Which shapes of rows a session likes."""

    def split(self, lengths: Sequence[int]) -> list[list[int]]:
        """Indices of the sequences to run together: of all, unless padding would outgrow them."""

    def layout(self, lengths: Sequence[int]) -> RowLayout:
        """Place sequences of the given lengths (tokens, at least one)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a sequence lies in the batch."""

    row: int
    start: int
    """Of its first token in the row."""
    length: int
    """Tokens."""
    segment: int
    """Its number in ``segment_ids``, and its place in the pooled outputs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackedBatch:
    """The encoder graph's inputs. Each array is int64 of shape ``(rows, row_len)``."""

    input_ids: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    segment_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    placements: tuple[Placement, ...]
    """Of each sequence, in the order they were given."""

    @property
    def shape(self) -> tuple[int, int]:
        """``(rows, row_len)``."""
        rows, row_len = self.input_ids.shape
        return rows, row_len

    @property
    def num_tokens(self) -> int:
        """Tokens that are not padding."""
        return sum(placement.length for placement in self.placements)


def first_fit_decreasing(lengths: Sequence[int], row_len: int) -> list[list[int]]:
    """Place each sequence, longest first, into the first row with room.

    Never worse than 11/9 of the fewest possible rows (plus 6/9; Dósa 2007), and in practice full to a few
    percent.

    Raises:
        ValueError: If a sequence is longer than a row.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length = lengths[index]
        if length > row_len:
            raise ValueError(f"A sequence of {length} tokens does not fit a row of {row_len}.")
        row = next((row for row, free in enumerate(room) if length <= free), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(row_len)
        rows[row].append(index)
        room[row] -= length
    return rows


ROW_STEP = 8
"""Lengths of several rows are multiples of it: fewer for the layout to try, fewer shapes for the arena."""


def round_up(length: int, step: int = ROW_STEP) -> int:
    """The next multiple of the step."""
    return -(-length // step) * step


@dataclass(frozen=True, slots=True)
class BucketedRows:
    """Rows for the CPU: one as long as its texts, or several as short as the batch allows, in steps."""

    row_len: int = 64
    step: int = ROW_STEP

    def split(self, lengths: Sequence[int]) -> list[list[int]]:
        """All together: any sequences share rows."""
        return [list(range(len(lengths)))]

    def layout(self, lengths: Sequence[int]) -> RowLayout:
        """One row without padding where everything fits; else the narrowest rows of as few as can be."""
        total, longest = sum(lengths), max(lengths)
        if total <= self.row_len or len(lengths) == 1:
            return RowLayout(rows=(tuple(range(len(lengths))),), row_len=total)
        widest = max(self.row_len, self._round_up(longest))
        rows = first_fit_decreasing(lengths, widest)
        row_len = widest
        # 150 tokens in two rows of 128 waste 40 %; in two rows of 80, 6 %.
        for narrower in range(self._round_up(max(longest, -(-total // len(rows)))), widest, self.step):
            narrow_rows = first_fit_decreasing(lengths, narrower)
            if len(narrow_rows) <= len(rows):
                rows, row_len = narrow_rows, narrower
                break
        return RowLayout(rows=tuple(map(tuple, rows)), row_len=row_len)

    def _round_up(self, length: int) -> int:
        return round_up(length, self.step)


@dataclass(frozen=True, slots=True)
class SingleRows:
    """A row for each sequence, for encoders that cannot be packed."""

    step: int = ROW_STEP

    def split(self, lengths: Sequence[int]) -> list[list[int]]:
        """Together run those whose lengths are within a factor of two: less than half is padding.

        One text of 512 tokens would otherwise make each of 500 short ones as dear as itself.
        """
        return _classes([(self._round_up(length) - 1).bit_length() for length in lengths])

    def layout(self, lengths: Sequence[int]) -> RowLayout:
        """As wide as the longest sequence, in steps."""
        return RowLayout(rows=tuple(map(tuple, _one_each(lengths))), row_len=self._round_up(max(lengths)))

    def _round_up(self, length: int) -> int:
        return round_up(length, self.step)


@dataclass(frozen=True, slots=True)
class FixedRows:
    """Rows for a device with bound buffers: few shapes, each compiled and allocated once."""

    row_lens: tuple[int, ...]
    """The row lengths there are, in tokens, ascending."""
    row_counts: tuple[int, ...]
    """The numbers of rows there are, ascending; beyond the last, its multiples."""
    are_shared: bool = True
    """Whether sequences lie end to end in a row, instead of one in each."""

    def split(self, lengths: Sequence[int]) -> list[list[int]]:
        """Any sequences share rows; those that get rows of their own run with others of their row length."""
        if self.are_shared:
            return [list(range(len(lengths)))]
        return _classes([self._row_len(length) for length in lengths])

    def layout(self, lengths: Sequence[int]) -> RowLayout:
        """The shortest row length that takes the longest sequence, filled up with empty rows.

        Raises:
            ValueError: If a sequence is longer than the longest row.
        """
        row_len = self._row_len(max(lengths))
        rows = first_fit_decreasing(lengths, row_len) if self.are_shared else _one_each(lengths)
        count = next((each for each in self.row_counts if each >= len(rows)), None)
        if count is None:
            count = -(-len(rows) // self.row_counts[-1]) * self.row_counts[-1]
        rows += [[] for _ in range(count - len(rows))]
        return RowLayout(rows=tuple(map(tuple, rows)), row_len=row_len)

    def _row_len(self, length: int) -> int:
        row_len = next((each for each in self.row_lens if each >= length), None)
        if row_len is None:
            raise ValueError(f"A sequence of {length} tokens does not fit a row of {self.row_lens[-1]}.")
        return row_len


def _one_each(lengths: Sequence[int]) -> list[list[int]]:
    return [[index] for index in range(len(lengths))]


def _classes(names: Sequence[int]) -> list[list[int]]:
    """Indices of equal names together."""
    classes: dict[int, list[int]] = {}
    for index, name in enumerate(names):
        classes.setdefault(name, []).append(index)
    return list(classes.values())


def pack(
    sequences: Sequence[TokenizedInput], shapes: RowShapes, *, pad_token_id: int, position_offset: int
) -> PackedBatch:
    """Lay sequences into rows.

    Args:
        sequences: At least one, each with at least one token.
        shapes: Decides rows and row length.
        pad_token_id: Fills the rows' tails.
        position_offset: Position of each sequence's first token; also of the tails, which no one reads.
    """
    layout = shapes.layout([each.num_tokens for each in sequences])
    shape = (len(layout.rows), layout.row_len)
    input_ids = np.full(shape, pad_token_id, dtype=np.int64)
    position_ids = np.full(shape, position_offset, dtype=np.int64)
    segment_ids = np.full(shape, PADDING_SEGMENT, dtype=np.int64)
    token_type_ids = np.zeros(shape, dtype=np.int64)
    positions = np.arange(position_offset, position_offset + layout.row_len)
    placements: dict[int, Placement] = {}
    for row, indices in enumerate(layout.rows):
        start = 0
        for index in indices:
            sequence, segment = sequences[index], len(placements)
            end = start + sequence.num_tokens
            input_ids[row, start:end] = sequence.input_ids
            position_ids[row, start:end] = positions[: end - start]
            segment_ids[row, start:end] = segment
            token_type_ids[row, start:end] = sequence.token_type_ids
            placements[index] = Placement(row=row, start=start, length=end - start, segment=segment)
            start = end
    return PackedBatch(
        input_ids=input_ids,
        position_ids=position_ids,
        segment_ids=segment_ids,
        token_type_ids=token_type_ids,
        placements=tuple(placements[index] for index in range(len(sequences))),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackedStates:
    """What a head over token states reads, by the names of its inputs."""

    last_hidden_state: NDArray[np.float32]
    """Shape ``(rows, row_len, hidden_size)``; zero in the tails."""
    segment_ids: NDArray[np.int64]
    """Shape ``(rows, row_len)``."""


def pack_states(states: Sequence[NDArray[np.floating]], *, row_len: int) -> PackedStates:
    """Lay cached token states into rows again, for the heads that read them.

    In order, so that segment ``i`` is ``states[i]`` (next fit: a little more padding than ``pack``, no
    permutation).

    Args:
        states: Each of shape ``(num_tokens, hidden_size)``.
        row_len: Tokens of a row. A longer sequence widens all rows; where everything fits one row, it is only
            as long as it must be.
    """
    lengths = list(map(len, states))
    row_len = max(max(lengths), min(row_len, round_up(sum(lengths))))
    places: list[tuple[int, int]] = []
    row, start = 0, 0
    for length in lengths:
        if start + length > row_len:
            row, start = row + 1, 0
        places.append((row, start))
        start += length
    last_hidden_state = np.zeros((row + 1, row_len, states[0].shape[1]), dtype=np.float32)
    segment_ids = np.full((row + 1, row_len), PADDING_SEGMENT, dtype=np.int64)
    for segment, ((row, start), each) in enumerate(zip(places, states, strict=True)):
        last_hidden_state[row, start : start + len(each)] = each
        segment_ids[row, start : start + len(each)] = segment
    return PackedStates(last_hidden_state=last_hidden_state, segment_ids=segment_ids)
