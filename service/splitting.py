"""Long work → parts of a bounded size."""

from collections.abc import Sequence


def split_by_size(sizes: Sequence[int], *, most: int) -> list[slice]:
    """Neighbours together, up to a sum; what is larger by itself stands alone."""
    starts, total = [0], 0
    for place, size in enumerate(sizes):
        if total and total + size > most:
            starts.append(place)
            total = 0
        total += size
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(sizes)], strict=True)]
