"""Sequences of token states in random layouts: packed, padded and alone."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from training.segments import NO_SEGMENT

MAX_LENGTH = 9


@dataclass(frozen=True)
class Layout:
    """The same sequences in three ways.

    Attributes:
        sequences: Token states, each ``(length, hidden_size)``.
        packed: States and segment ids in rows of several sequences, with tails.
        padded: States and segment ids with one sequence a row.
        places: ``(row, start, length)`` of each sequence in the packed rows.
    """

    sequences: list[Tensor]
    packed: tuple[Tensor, Tensor]
    padded: tuple[Tensor, Tensor]
    places: list[tuple[int, int, int]]

    def alone(self, index: int) -> tuple[Tensor, Tensor]:
        states = self.sequences[index].unsqueeze(0)
        return states, torch.zeros(states.shape[:2], dtype=torch.int64)


def lay_out(lengths: list[int], *, row_len: int, hidden_size: int = 8, seed: int = 0) -> Layout:
    generator = torch.Generator().manual_seed(seed)
    sequences = [torch.randn(length, hidden_size, generator=generator) for length in lengths]
    places: list[tuple[int, int, int]] = []
    row, start = 0, 0
    for length in lengths:
        if start + length > row_len:
            row, start = row + 1, 0
        places.append((row, start, length))
        start += length
    ids = torch.randperm(len(lengths) + 3, generator=generator)[: len(lengths)]  # unique, in no order
    padded_places = [(number, 0, length) for number, length in enumerate(lengths)]
    return Layout(
        sequences=sequences,
        packed=_fill(sequences, places, ids, row_len, generator),
        padded=_fill(sequences, padded_places, ids, max(lengths), generator),
        places=places,
    )


def _fill(
    sequences: list[Tensor],
    places: list[tuple[int, int, int]],
    ids: Tensor,
    row_len: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    shape = (places[-1][0] + 1, row_len)
    states = 100 * torch.randn(*shape, sequences[0].shape[-1], generator=generator)  # loud in tails
    segment_ids = torch.full(shape, NO_SEGMENT)
    for (row, start, length), sequence, number in zip(places, sequences, ids, strict=True):
        states[row, start : start + length] = sequence
        segment_ids[row, start : start + length] = number
    return states, segment_ids


layouts = st.builds(
    lay_out,
    st.lists(st.integers(1, MAX_LENGTH), min_size=1, max_size=8),
    row_len=st.integers(MAX_LENGTH, 24),
    seed=st.integers(0, 1000),
)
