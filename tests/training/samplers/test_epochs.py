from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.batches import ExampleStream
from training.samplers import Sampler, SamplerFactory
from training.samplers.epochs import batches_an_epoch

sizes = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 40), min_size=1)


def epochal(sizes: dict[str, int], batch_size: int) -> dict[str, Sampler]:
    factory = SamplerFactory(sizes=sizes, batch_size=batch_size, draws=100, seed=5)
    return {
        "mt_dnn": factory.mt_dnn(),
        "sequential": factory.sequential(),
        "exhaust_and_restart": factory.exhaust_and_restart(),
    }


@given(sizes=sizes, batch_size=st.integers(1, 9))
def test_every_epoch_shows_each_example_once(sizes: dict[str, int], batch_size: int) -> None:
    batches = sum(batches_an_epoch(sizes, batch_size).values())
    for sampler in epochal(sizes, batch_size).values():
        streams = {
            name: ExampleStream(name, np.ones(size, dtype=np.int64), batch_size=batch_size, seed=5)
            for name, size in sizes.items()
        }
        for _epoch in range(2):
            seen: dict[str, list[int]] = {name: [] for name in sizes}
            for _ in range(batches):
                (name,) = sampler.draw()
                seen[name] += streams[name].next().tolist()
            assert {name: sorted(rows) for name, rows in seen.items()} == {
                name: list(range(size)) for name, size in sizes.items()
            }


def test_sequential_order_is_the_given_one() -> None:
    factory = SamplerFactory(sizes={"a": 4, "b": 2}, batch_size=2, draws=9, seed=0)
    sampler = factory.sequential(order=["b", "a"])
    assert [sampler.draw()[0] for _ in range(6)] == ["b", "a", "a", "b", "a", "a"]


def test_a_used_up_task_waits_for_the_others() -> None:
    factory = SamplerFactory(sizes={"a": 1, "b": 3, "c": 2}, batch_size=1, draws=9, seed=0)
    sampler = factory.exhaust_and_restart()
    assert "".join(sampler.draw()[0] for _ in range(12)) == "abcbcb" * 2


def test_mt_dnn_shuffles_every_epoch_anew() -> None:
    factory = SamplerFactory(sizes={"a": 40, "b": 40}, batch_size=1, draws=9, seed=0)
    sampler = factory.mt_dnn()
    epochs = ["".join(sampler.draw()[0] for _ in range(80)) for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert "a" * 20 not in epochs[0]


def test_shares_are_those_of_what_is_left() -> None:
    factory = SamplerFactory(sizes={"a": 2, "b": 6}, batch_size=2, draws=9, seed=0)
    sampler = factory.sequential()
    found = []
    for _ in range(4):
        found.append(sampler.probabilities["a"])
        sampler.draw()
    assert found == pytest.approx([0.25, 0, 0, 0])
    assert sampler.probabilities["a"] == pytest.approx(0.25)
    assert Counter(sampler.draw()[0] for _ in range(4)) == {"a": 1, "b": 3}
