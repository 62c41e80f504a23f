import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.tiny import write_rows
from tests.training.conftest import Recorder, start_run
from training.batches import ExampleStream
from training.checkpoint import RunFolder
from training.errors import TrainingError
from training.evaluation import predict_logits
from training.trainer import Trainer

SmallConfig = Callable[..., dict[str, Any]]
HEAD = {"type": "linear", "dropout": 0.0}


def nothing(*_: object) -> None:
    """Writes no checkpoint."""


def without_dropout(trainer: Trainer) -> Trainer:
    for module in trainer.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for module in trainer.model.modules():  # attention keeps its own number
        if hasattr(module, "dropout_prob"):
            module.dropout_prob = 0.0
    trainer.model.encoder.config.attention_probs_dropout_prob = 0.0
    return trainer


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def test_a_few_rows_are_learnt_by_heart(small_config: SmallConfig, tmp_path: Path) -> None:
    raw = small_config(
        steps=90, batch_size=8, evaluate_every=90, learning_rate=1e-2, encoder_learning_rate=2e-3
    )
    moods = ["bad", "fine", "good"]
    words = ["broken late wrong", "parcel order lamp", "great always quick"]
    rows = [
        {"text": f"{words[n % 3]} {extra}", "text_a": words[n % 3], "text_b": words[n // 3 % 3] + f" {extra}",
         "mood": moods[n % 3], "same": ["no", "yes"][n % 3 == n // 3 % 3], "value": float(n % 3)}
        for n, extra in enumerate(["blue", "red", "small", "big", "my", "your", "the", "a", "please"] * 2)
    ]  # fmt: skip
    write_rows(tmp_path / "train.jsonl", rows)
    run = start_run(raw, tmp_path / "run")
    recorder = Recorder()
    run.trainer.fit(recorder, nothing)
    for task in run.trainer._tasks:
        losses = [losses[task] for losses in recorder.losses.values() if task in losses]
        assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5]), task
    train = run.trainer._train["sentiment"]
    logits = predict_logits(run.trainer.model, run.trainer._tasks["sentiment"], train, batch_size=32)
    labels = np.concatenate(train.targets)
    constant = np.bincount(labels).max() / len(train)
    assert (np.concatenate(logits).argmax(axis=1) == labels).mean() > max(constant, 0.9)


def test_two_accumulated_halves_equal_the_full_batch(small_config: SmallConfig, tmp_path: Path) -> None:
    """Halves of equal size: the mean of their means is the mean of the whole."""
    losses, gradients = [], []
    for batch_size, accumulation in ((8, 1), (4, 2)):
        raw = small_config(
            tasks=("stars",),
            steps=1,
            batch_size=batch_size,
            gradient_accumulation=accumulation,
            max_grad_norm=1e6,
        )
        trainer = without_dropout(start_run(raw, tmp_path / f"run-{batch_size}").trainer)
        parts = [np.arange(8)[start : start + batch_size] for start in range(0, 8, batch_size)]
        trainer._streams = {"stars": FixedStream(parts)}
        recorder = Recorder()
        gradients.append(gradients_of_one_step(trainer, recorder))
        losses.append(recorder.losses[1]["stars"])
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-5)


def gradients_of_one_step(trainer: Trainer, observer: Recorder) -> list[torch.Tensor]:
    """What the optimizer sees in the first step."""
    seen: list[torch.Tensor] = []
    step = trainer._optimizer.step

    def spy() -> None:
        parameters = [p for group in trainer._optimizer.param_groups for p in group["params"]]
        seen.extend(p.grad.clone() for p in parameters if p.grad is not None)
        step()

    trainer._optimizer.step = spy  # type: ignore[assignment, method-assign]
    trainer.fit(observer, nothing)
    return seen


class FixedStream(ExampleStream):
    """The given batches in turn."""

    def __init__(self, batches: list[np.ndarray]) -> None:
        self._given = iter(batches)

    def next(self) -> np.ndarray:
        return next(self._given)


@pytest.mark.parametrize(("limit", "clipped"), [(0.01, True), (1e6, False)])
def test_the_gradient_of_all_parameters_together_is_clipped(
    small_config: SmallConfig, tmp_path: Path, limit: float, clipped: bool
) -> None:
    trainer = start_run(small_config(steps=1, max_grad_norm=limit), tmp_path / "run").trainer
    norm = math.sqrt(sum(float(g.square().sum()) for g in gradients_of_one_step(trainer, Recorder())))
    assert norm == pytest.approx(limit, rel=1e-3) if clipped else 0.1 < norm < limit


@pytest.mark.parametrize(
    ("breaks", "expected"),
    [
        (lambda logits: logits * math.nan, "the loss of sentiment is nan"),
        (lambda logits: (logits * 0).sqrt(), "the gradient's norm is nan"),
    ],
)
def test_a_run_that_diverges_ends_with_its_step_and_its_weights_as_they_were(
    small_config: SmallConfig,
    tmp_path: Path,
    breaks: Callable[[torch.Tensor], torch.Tensor],
    expected: str,
) -> None:
    run = start_run(small_config(tasks=("sentiment",), steps=5), tmp_path / "run")
    recorder = Recorder()
    run.trainer.model.heads["sentiment"].register_forward_hook(
        lambda _module, _inputs, logits: breaks(logits) if len(recorder.reports) == 2 else logits
    )
    with pytest.raises(TrainingError, match=rf"step 3: {expected}.* lower training\.learning_rate"):
        run.trainer.fit(recorder, run.write_checkpoint)
    assert all(bool(tensor.isfinite().all()) for tensor in weights_of(run.trainer).values())


def test_a_metabatch_step_has_every_tasks_loss(small_config: SmallConfig, tmp_path: Path) -> None:
    run = start_run(small_config(steps=2, batches="metabatch"), tmp_path / "run")
    recorder = Recorder()
    run.trainer.fit(recorder, nothing)
    assert all(set(losses) == set(run.trainer._tasks) for losses in recorder.losses.values())


def test_a_metabatch_gradient_is_the_weighted_sum_of_the_tasks_gradients(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config(tasks=("sentiment", "stars"), batches="metabatch")
    raw["tasks"]["stars"]["weight"] = 0.25
    trainer = without_dropout(start_run(raw, tmp_path / "run").trainer)
    trainer.model.train()
    weight = trainer.model.encoder.backbone.embeddings.word_embeddings.weight
    draw = trainer.draw()
    losses = {name: compute() for name, compute in draw.items()}
    alone = [torch.autograd.grad(loss, weight)[0] for loss in losses.values()]
    trainer.gradients([draw], step=0)
    together = weight.grad
    torch.testing.assert_close(together, alone[0] + 0.25 * alone[1])


def test_each_step_draws_its_tasks_and_reports_their_unweighted_losses(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config(sampling={"name": "round_robin"})
    raw["tasks"]["sentiment"]["weight"] = 1e-6
    recorder = Recorder()
    start_run(raw, tmp_path / "run").trainer.fit(recorder, nothing)
    assert [list(losses) for losses in recorder.losses.values()] == [
        ["sentiment"],
        ["duplicate"],
        ["stars"],
    ] * 3
    assert recorder.losses[1]["sentiment"] > 0.3


def test_rates_warm_up_and_decay_in_their_own_groups(small_config: SmallConfig, tmp_path: Path) -> None:
    raw = small_config(
        steps=10, warmup=0.2, learning_rate=1e-2, encoder_learning_rate=1e-4, evaluate_every=99
    )
    recorder = Recorder()
    start_run(raw, tmp_path / "run").trainer.fit(recorder, nothing)
    encoder = [rates["encoder"] for rates in recorder.rates.values()]
    assert encoder == pytest.approx([0.5e-4, *(1e-4 * left / 8 for left in range(8, -1, -1))])
    assert [rates["heads"] for rates in recorder.rates.values()] == pytest.approx(
        [100 * rate for rate in encoder]
    )


def test_patience_stops_the_run_and_the_best_checkpoint_stays(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config(steps=40, evaluate_every=1, learning_rate=1e-9, encoder_learning_rate=1e-9)
    raw["selection"] = {"patience": 2, "fraction": 0.2}
    recorder = Recorder()
    run = start_run(raw, tmp_path / "run")
    run.trainer.fit(recorder, run.write_checkpoint)
    best = max(recorder.evaluations, key=lambda evaluation: evaluation.score)  # the first of equal ones
    assert recorder.evaluations[-1].step == best.step + 2 < 40
    index = RunFolder(tmp_path / "run").index
    assert index is not None
    assert (index.best, index.last) == (f"step-{best.step:06d}", f"step-{best.step + 2:06d}")


def test_a_frozen_encoder_keeps_its_weights_while_its_heads_learn(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config()
    raw["encoder"]["train"] = "frozen"
    run = start_run(raw, tmp_path / "run")
    before = weights_of(run.trainer)
    recorder = Recorder()
    run.trainer.fit(recorder, nothing)
    moved = {
        name for name, tensor in weights_of(run.trainer).items() if not torch.equal(tensor, before[name])
    }
    assert moved
    assert all(name.startswith("heads.") for name in moved)
    assert set(recorder.rates[1]) == {"heads"}


def test_mixed_precision_trains_in_bfloat16_and_keeps_float32_weights(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    run = start_run(small_config(mixed_precision="bf16"), tmp_path / "run")
    kinds = set()
    run.trainer.model.heads["sentiment"].register_forward_hook(
        lambda module, inputs, output: kinds.add(output.dtype) if module.training else None
    )
    recorder = Recorder()
    run.trainer.fit(recorder, run.write_checkpoint)
    assert kinds == {torch.bfloat16}
    assert all(math.isfinite(loss) for losses in recorder.losses.values() for loss in losses.values())
    assert {tensor.dtype for tensor in weights_of(run.trainer).values() if tensor.is_floating_point()} == {
        torch.float32
    }


def test_the_last_step_is_evaluated_and_saved_even_off_the_interval(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    run = start_run(small_config(steps=9, evaluate_every=4), tmp_path / "run")
    recorder = Recorder()
    run.trainer.fit(recorder, run.write_checkpoint)
    assert [evaluation.step for evaluation in recorder.evaluations] == [4, 8, 9]
