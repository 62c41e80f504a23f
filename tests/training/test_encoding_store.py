from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from transformers import AutoModel

from tests.support.tiny_kinds import kinds_config
from tests.training.conftest import Recorder, start_run
from training.assembly.encodings import store_encodings
from training.assembly.run import Run
from training.batches import Batch, pad
from training.checkpoint import STAGING_PREFIX, RunFolder
from training.commands.evaluate import evaluate_run
from training.commands.fit import fit_config
from training.config.file import parse_config
from training.encoder import SharedEncoder
from training.encoding import LAST_HIDDEN_STATE, Encoder
from training.encoding_store import BATCH_TOKENS, EncodingStore
from training.tokenization import TokenSequence

SmallConfig = Callable[..., dict[str, Any]]
HIDDEN_SIZE, NUM_LAYERS = 2, 3


class CountingEncoder(Encoder):
    """Gives each token its id and type as state, and counts what it is asked."""

    config, hidden_size, num_layers, pad_token_id = None, HIDDEN_SIZE, NUM_LAYERS, 0

    def __init__(self, digest: str = "counting") -> None:
        super().__init__()
        self.asked: list[tuple[int, tuple[str, ...]]] = []
        self._digest = digest

    def digest(self) -> str:
        return self._digest

    def read(self, batch: Batch, readings: Sequence[str]) -> dict[str, torch.Tensor]:
        self.asked.append((len(batch.input_ids), tuple(readings)))
        states = torch.stack([batch.input_ids, batch.token_type_ids], dim=-1).float()
        pooled = (states * batch.attention_mask.unsqueeze(-1)).sum(dim=1)
        layered = pooled.unsqueeze(1).expand(-1, NUM_LAYERS + 1, -1)
        known = {LAST_HIDDEN_STATE: states, "mean": pooled, "mean_layers": layered}
        return {reading: known[reading] for reading in readings}

    def faults(self, *, max_length: int, poolings: Iterable[str]) -> list[str]:
        return []

    def save_description(self, folder: Path) -> None: ...


def sequence(*ids: int, second: int = 0) -> TokenSequence:
    """The last ``second`` tokens belong to the second text of a pair."""
    types = [0] * (len(ids) - second) + [1] * second
    return TokenSequence(input_ids=list(ids), token_type_ids=types)


ONE, TWO, PAIR, LONG = sequence(1, 2, 3), sequence(4, 5), sequence(4, 5, second=1), sequence(*range(1, 9))


def opened(folder: Path, needs: dict[str, list[TokenSequence]], *, max_bytes: int = 10**6) -> EncodingStore:
    store = EncodingStore(folder, max_bytes=max_bytes)
    store.open(CountingEncoder(), needs)
    return store


def test_what_is_read_is_what_the_encoder_gives_in_any_company(tmp_path: Path) -> None:
    every = [ONE, TWO, PAIR, LONG]
    readings = [LAST_HIDDEN_STATE, "mean", "mean_layers"]
    store = opened(tmp_path, dict.fromkeys(readings, every))
    for company in ([ONE], [TWO, LONG], [PAIR, TWO, ONE, PAIR]):
        batch = pad(company, pad_token_id=0)
        for reading, expected in CountingEncoder().read(batch, readings).items():
            found = store.read(batch, reading)
            assert found is not None
            torch.testing.assert_close(found, expected)


def test_a_sequence_is_encoded_once_for_all_that_is_read_of_it(tmp_path: Path) -> None:
    encoder, done = CountingEncoder(), []
    store = EncodingStore(tmp_path, max_bytes=10**6)
    needs = {"mean": [ONE, ONE, TWO], LAST_HIDDEN_STATE: [TWO, PAIR, TWO]}
    store.open(encoder, needs, on_encoded=done.append)
    assert sum(count for count, _ in encoder.asked) == sum(done) == 3


def test_a_pair_is_not_taken_for_a_text_of_the_same_tokens(tmp_path: Path) -> None:
    store = opened(tmp_path, {"mean": [TWO]})
    assert store.read(pad([PAIR], pad_token_id=0), "mean") is None
    assert store.read(pad([TWO, PAIR], pad_token_id=0), "mean") is None
    assert store.read(pad([TWO], pad_token_id=0), LAST_HIDDEN_STATE) is None


def test_what_does_not_fit_is_left_to_the_encoder_the_largest_first(tmp_path: Path) -> None:
    needs = {"mean": [ONE, LONG], LAST_HIDDEN_STATE: [ONE, LONG]}
    vectors, states = 4 * HIDDEN_SIZE * 2, 4 * HIDDEN_SIZE * (3 + 8)
    assert opened(tmp_path / "all", needs, max_bytes=vectors + states).num_bytes == vectors + states
    store = opened(tmp_path / "some", needs, max_bytes=vectors + states - 1)
    assert (store.readings, store.num_bytes) == (("mean",), vectors)
    assert opened(tmp_path / "none", needs, max_bytes=vectors - 1).readings == ()


def test_the_same_sequences_in_any_order_are_encoded_once_for_all_runs_of_a_folder(tmp_path: Path) -> None:
    opened(tmp_path, {"mean": [ONE, TWO]})
    encoder, second = CountingEncoder(), EncodingStore(tmp_path, max_bytes=10**6)
    second.open(encoder, {"mean": [TWO, ONE, TWO]})
    found = second.read(pad([TWO], pad_token_id=0), "mean")
    assert found is not None
    assert found.tolist() == [[9.0, 0.0]]
    assert encoder.asked == []


def test_some_of_the_sequences_are_read_from_the_files_of_all(tmp_path: Path) -> None:
    opened(tmp_path, {"mean": [ONE, TWO, LONG], LAST_HIDDEN_STATE: [ONE, PAIR, LONG]})
    for needs in (
        {"mean": [TWO]},
        {LAST_HIDDEN_STATE: [PAIR, LONG]},
        {"mean": [LONG], LAST_HIDDEN_STATE: [ONE]},
    ):
        encoder, some = CountingEncoder(), EncodingStore(tmp_path, max_bytes=10**6)
        some.open(encoder, needs)
        assert encoder.asked == []
        for reading, sequences in needs.items():
            batch = pad(sequences, pad_token_id=0)
            found = some.read(batch, reading)
            assert found is not None
            torch.testing.assert_close(found, encoder.read(batch, [reading])[reading])


@pytest.mark.parametrize(
    ("digest", "needs"),
    [
        ("another", {"mean": [ONE, TWO]}),
        ("counting", {"mean": [ONE, PAIR]}),
        ("counting", {"mean": [ONE, TWO, LONG]}),
        ("counting", {"mean_layers": [ONE, TWO]}),
        ("counting", {"mean": [ONE, TWO], "mean_layers": [ONE, TWO]}),
    ],
)
def test_another_encoder_other_sequences_or_readings_are_encoded_for_themselves(
    tmp_path: Path, digest: str, needs: dict[str, list[TokenSequence]]
) -> None:
    opened(tmp_path, {"mean": [ONE, TWO]})
    encoder = CountingEncoder(digest)
    EncodingStore(tmp_path, max_bytes=10**6).open(encoder, needs)
    assert encoder.asked != []


def test_an_interrupted_filling_leaves_nothing_to_be_opened(tmp_path: Path) -> None:
    def stop(_count: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        EncodingStore(tmp_path, max_bytes=10**6).open(CountingEncoder(), {"mean": [ONE]}, on_encoded=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_had_half_stored_is_cleared_before_the_next(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = frozen(small_config(steps=2))
    start_run(raw, tmp_path / "run")
    half = tmp_path / "run" / "encodings" / f"{STAGING_PREFIX}x"
    half.mkdir(parents=True)
    (half / "mean.npy").write_bytes(b"0")
    with pytest.raises(InterruptedError):
        fit_config(
            parse_config(raw),
            tmp_path / "run",
            resume=True,
            console=Console(quiet=True),
            watching=[Recorder(stop_after=1)],
        )
    assert not half.exists()
    assert list((tmp_path / "run" / "encodings").iterdir()) != []


def test_of_two_runs_that_fill_the_same_files_at_once_both_can_read(tmp_path: Path) -> None:
    stores = []

    def meanwhile(_count: int) -> None:
        if not stores:
            stores.append(opened(tmp_path, {"mean": [ONE]}))

    late = EncodingStore(tmp_path, max_bytes=10**6)
    late.open(CountingEncoder(), {"mean": [ONE]}, on_encoded=meanwhile)
    for store in (late, *stores):
        found = store.read(pad([ONE], pad_token_id=0), "mean")
        assert found is not None
        assert found.tolist() == [[6.0, 0.0]]


def test_a_digest_tells_weights_apart_and_nothing_else(tiny_encoder: Path) -> None:
    first, second = (SharedEncoder(AutoModel.from_pretrained(tiny_encoder)) for _ in range(2))
    assert first.train().digest() == second.eval().digest()
    with torch.no_grad():
        next(second.parameters()).view(-1)[0] += 1e-3
    assert first.digest() != second.digest()


def test_batches_keep_to_their_budget_and_depend_on_the_set_alone(tmp_path: Path) -> None:
    many = [sequence(*(np.arange(length) + 1).tolist()) for length in range(1, 400)]
    asked = []
    for number, order in enumerate((many, many[::-1])):
        encoder = CountingEncoder()
        EncodingStore(tmp_path / str(number), max_bytes=10**7).open(encoder, {"mean": order})
        asked.append(encoder.asked)
    assert asked[0] == asked[1]
    assert max(count for count, _ in asked[0]) <= BATCH_TOKENS
    assert sum(count for count, _ in asked[0]) == len(many)


def frozen(raw: dict[str, Any]) -> dict[str, Any]:
    raw["encoder"]["train"] = "frozen"
    return raw


def losses(run: Run) -> dict[int, dict[str, float]]:
    recorder = Recorder()
    if run.trainer.step == 0:
        torch.manual_seed(5)
    run.trainer.fit(recorder, lambda *_: None)
    return recorder.losses


def test_a_frozen_run_of_every_kind_learns_the_same_from_its_store_and_runs_no_encoder(
    tmp_path: Path, tiny_encoder: Path, quiet: Console
) -> None:
    raw = frozen(kinds_config(tmp_path, tiny_encoder, rows=12))
    raw["training"] |= {"steps": 4, "evaluate_every": 2}
    plain, stored = start_run(raw, tmp_path / "plain"), start_run(raw, tmp_path / "stored")
    store_encodings(stored, tmp_path / "encodings", console=quiet)
    calls = []
    stored.trainer.model.encoder.register_forward_hook(lambda *_: calls.append(1))
    expected, found = losses(plain), losses(stored)
    assert calls == [], "an epoch costs the heads alone"
    assert found == {
        step: {task: pytest.approx(loss, rel=1e-5) for task, loss in each.items()}
        for step, each in expected.items()
    }


def test_a_task_alone_reads_what_the_joint_run_has_stored(
    small_config: SmallConfig, tmp_path: Path, quiet: Console
) -> None:
    raw = frozen(small_config())
    store_encodings(start_run(raw, tmp_path / "joint"), tmp_path / "encodings", console=quiet)
    for task, section in raw["tasks"].items():
        alone = start_run(raw | {"tasks": {task: section}}, tmp_path / task)
        calls: list[int] = []
        alone.trainer.model.encoder.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        store_encodings(alone, tmp_path / "encodings", console=quiet)
        assert calls == [], task


def test_an_interrupted_run_goes_on_from_a_new_store_to_the_last_bit(
    small_config: SmallConfig, tmp_path: Path, quiet: Console
) -> None:
    raw = frozen(small_config(steps=8, evaluate_every=4))

    def begin(folder: str, *, resume: bool = False) -> Run:
        run = start_run(raw, tmp_path / folder, resume=resume)
        store_encodings(run, tmp_path / "encodings", console=quiet)
        return run

    whole = losses(begin("whole"))
    killed = begin("killed")
    torch.manual_seed(5)
    with pytest.raises(InterruptedError):
        killed.trainer.fit(Recorder(stop_after=6), killed.write_checkpoint)
    assert losses(begin("killed", resume=True)) == {step: each for step, each in whole.items() if step > 4}


@pytest.mark.parametrize("train", ["full", "frozen"])
def test_only_a_frozen_encoder_is_stored_until_the_run_is_finished(
    small_config: SmallConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], train: str
) -> None:
    raw = small_config(steps=2)
    raw["encoder"]["train"] = train
    fit_config(parse_config(raw), tmp_path / "run", resume=False, console=Console())
    assert ("MB of encoder outputs (mean) stored" in capsys.readouterr().out) == (train == "frozen")
    assert not RunFolder(tmp_path / "run").encodings.exists()


def test_dev_is_measured_from_the_store_as_the_encoder_would_have_it(
    small_config: SmallConfig, tmp_path: Path, quiet: Console
) -> None:
    config = parse_config(frozen(small_config(steps=2)))
    run = start_run(config.model_dump(mode="json", by_alias=True), tmp_path / "run")
    store_encodings(run, tmp_path / "encodings", console=quiet)
    run.trainer.fit(Recorder(), run.write_checkpoint)
    store = run.trainer.model.store
    assert store is not None
    for data in run.data.dev.values():
        sequences = [sequence for each in data.sequences for sequence in each]
        assert store.read(pad(sequences, pad_token_id=0), "mean") is not None
    stored = evaluate_run(tmp_path / "run", console=quiet, store=store)
    computed = evaluate_run(tmp_path / "run", console=quiet)
    assert stored == {task: pytest.approx(metrics, abs=1e-4) for task, metrics in computed.items()}


def test_no_bytes_switch_the_store_off(
    small_config: SmallConfig, tmp_path: Path, quiet: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = frozen(small_config())
    raw["encoder"]["store_bytes"] = 0
    run = start_run(raw, tmp_path / "run")
    store_encodings(run, tmp_path / "encodings", console=quiet)
    assert run.trainer.model.store is None
    raw["encoder"]["store_bytes"] = 10
    store_encodings(start_run(raw, tmp_path / "other"), tmp_path / "encodings", console=Console())
    shown = capsys.readouterr().out
    assert "mean would pass encoder.store_bytes and is computed at every step" in shown
