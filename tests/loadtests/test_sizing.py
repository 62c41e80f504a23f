from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import brentq

from export.manifest import EncoderEntry, EncoderGraph, EncoderInput, Pooling, Precision
from loadtests.capacity_model import ReplicaCost, replicas, token_s
from loadtests.sizing import main
from loadtests.zipf import ZipfTraffic, hit_rate
from service.cost import CostModel
from service.encoder_cache import EncoderCache, sequence_key
from service.encoding import Encoding
from tests.support.service_fakes import sequence

ENCODER = EncoderEntry(
    model="tiny",
    model_type="bert",
    fingerprint="f" * 64,
    hidden_size=16,
    num_layers=1,
    max_length=32,
    position_offset=0,
    pad_token_id=0,
    inputs=(EncoderInput.INPUT_IDS,),
    poolings=(Pooling.MEAN,),
    default_pooling=Pooling.MEAN,
    graphs={Precision.FP32: EncoderGraph(file="encoder.onnx", tolerance=1e-4)},
)
RATES = st.floats(0.1, 5000)
COSTS = st.builds(
    ReplicaCost, request_s=st.floats(1e-5, 1e-2), token_s=st.floats(1e-6, 1e-3), tokens=st.floats(1, 500)
)


def entry_bytes() -> int:
    """What the cache charges for a text of eight tokens."""
    cache = EncoderCache(pooled_bytes=10_000, states_bytes=0)
    vectors = {Pooling.MEAN: np.zeros(ENCODER.hidden_size, dtype=np.float32)}
    cache.put(sequence_key(bytes(32), sequence(8)), Encoding(pooled=vectors, states=None))
    return cache.pooled.num_bytes


def simulated(traffic: ZipfTraffic, cache_bytes: int, requests: int = 20_000) -> float:
    return hit_rate(traffic, ENCODER, cache_bytes=cache_bytes, tokens=8, requests=requests)


def expected_hit_rate(traffic: ZipfTraffic, entries: int) -> float:
    """Che's approximation of a least-recently-used cache (Che, Tung and Wang 2002)."""
    shares = traffic.shares()
    age = brentq(lambda age: (1 - np.exp(-shares * age)).sum() - entries, 0, 1e9)
    return float((shares * (1 - np.exp(-shares * age))).sum())


@pytest.mark.parametrize("exponent", [0.6, 1.0, 1.4])
@pytest.mark.parametrize("entries", [50, 400])
def test_simulated_hit_rates_are_those_of_ches_approximation(exponent: float, entries: int) -> None:
    traffic = ZipfTraffic(num_texts=1000, exponent=exponent)
    found = simulated(traffic, entries * entry_bytes())
    assert found == pytest.approx(expected_hit_rate(traffic, entries), abs=0.02)


@given(st.integers(1, 300), st.floats(0.2, 2.0), st.integers(0, 2**32))
def test_ranks_are_drawn_as_often_as_their_shares_say(num_texts: int, exponent: float, seed: int) -> None:
    traffic = ZipfTraffic(num_texts=num_texts, exponent=exponent)
    shares = traffic.shares()
    assert shares.sum() == pytest.approx(1)
    assert (np.diff(shares) < 0).all()
    counts = np.bincount(traffic.draw(2000, seed=seed), minlength=num_texts)
    assert len(counts) == num_texts
    assert (np.abs(counts - 2000 * shares) <= 7 * np.sqrt(2000 * shares) + 7).all()


def test_a_cache_that_holds_every_text_misses_each_once_and_none_finds_nothing() -> None:
    traffic = ZipfTraffic(num_texts=20, exponent=1.0)
    assert simulated(traffic, 20 * entry_bytes()) == 1.0
    assert simulated(traffic, 0) == 0.0


@given(COSTS, RATES, st.floats(0, 1), st.floats(0.1, 1))
def test_replicas_are_enough_and_one_fewer_is_not(
    cost: ReplicaCost, rate: float, found: float, utilisation: float
) -> None:
    assume(cost.busy(rate, found) < 1000 * utilisation)
    count = replicas(cost, rate, lambda _: found, utilisation=utilisation)
    assert cost.busy(rate, found) <= count * utilisation
    assert count == 1 or cost.busy(rate, found) > (count - 1) * utilisation


@given(COSTS, RATES, st.floats(0, 1), st.floats(0, 1))
def test_more_hits_or_fewer_texts_never_need_more_replicas(
    cost: ReplicaCost, rate: float, first: float, second: float
) -> None:
    assume(cost.busy(rate, 0) < 1000)
    few, many = sorted((first, second))
    needed = replicas(cost, rate, lambda _: few, utilisation=0.7)
    assert replicas(cost, rate, lambda _: many, utilisation=0.7) <= needed
    assert replicas(cost, rate / 2, lambda _: few, utilisation=0.7) <= needed
    # Caches that add up find at least as much with every further replica.
    assert replicas(cost, rate, lambda count: max(few, 1 - 1 / count), utilisation=0.7) <= needed


def test_a_rate_that_no_number_of_replicas_serves_is_said_to_be_one() -> None:
    cost = ReplicaCost(request_s=1.0, token_s=1e-3, tokens=10)
    with pytest.raises(ValueError, match="more than 10000 replicas"):
        replicas(cost, 1e6, lambda _: 0.0, utilisation=0.5)


@given(st.floats(0, 1e-2), st.floats(1e-7, 1e-3), st.floats(0, 1e-6))
def test_a_token_costs_its_part_of_a_full_batch(fixed_s: float, per_token_s: float, squared_s: float) -> None:
    cost = CostModel(fixed_s=fixed_s, per_token_s=per_token_s, per_attention_s=squared_s)
    assert token_s(cost, max_batch_tokens=512, row_len=64) == pytest.approx(
        cost.batch_s(8, 64) / 512, rel=1e-3
    )


def test_the_tables_have_a_row_for_each_size_and_rate(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "tables.md"
    options = ["--texts", "500", "--requests", "2000", "--cache-mib", "1", "2", "--rates", "50", "500"]
    assert main([str(tiny_bundle), *options, "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert printed.removesuffix("\n") == output.read_text(encoding="utf-8")
    assert [line.split(" | ")[0] for line in printed.splitlines() if line.startswith("| ")] == [
        "| cache", "| ---", "| 1 MiB", "| 2 MiB", "| texts/s", "| ---", "| 50", "| 500",
    ]  # fmt: skip
    assert "measured with" in printed
