import io
from collections.abc import Callable

import pytest
import torch
from torch import nn

from training.schedules.averaged_model import AveragedModel
from training.schedules.averaging import (
    CheckpointAverage,
    ExponentialAverage,
    WeightAverage,
    trained_weights,
    with_weights,
)

AVERAGES: dict[str, Callable[[], WeightAverage]] = {
    "ema": lambda: ExponentialAverage(decay=0.9),
    "checkpoints": lambda: CheckpointAverage(count=3),
}


def move(model: nn.Module, value: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.fill_(value)


def feed(average: WeightAverage, model: nn.Module, values: list[float]) -> None:
    for value in values:
        move(model, value)
        average.end_step(model)
        average.begin_evaluation(model)


def test_the_checkpoint_average_is_the_mean_of_the_last() -> None:
    model, average = nn.Linear(2, 1), CheckpointAverage(count=3)
    feed(average, model, [1.0, 5.0])
    assert {float(w.mean()) for w in average.weights().values()} == {3.0}
    feed(average, model, [6.0, 7.0])
    assert {float(w.mean()) for w in average.weights().values()} == {6.0}


def test_the_exponential_average_is_the_recursion() -> None:
    model, average = nn.Linear(2, 1), ExponentialAverage(decay=0.9)
    values, expected = [1.0, 2.0, 4.0, 8.0], 1.0
    feed(average, model, values)
    for step, value in enumerate(values[1:], 1):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    for weight in average.weights().values():
        assert weight.flatten().tolist() == pytest.approx([expected] * weight.numel())


@pytest.mark.parametrize("name", AVERAGES)
def test_steady_weights_are_their_own_average(name: str) -> None:
    model, average = nn.Linear(3, 2), AVERAGES[name]()
    before = {k: v.clone() for k, v in trained_weights(model).items()}
    for _ in range(5):
        average.end_step(model)
        average.begin_evaluation(model)
    torch.testing.assert_close(average.weights(), before)


@pytest.mark.parametrize("name", AVERAGES)
def test_frozen_weights_take_no_part(name: str) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    average = AVERAGES[name]()
    feed(average, model, [1.0])
    assert set(average.weights()) == {"1.weight", "1.bias"}


@pytest.mark.parametrize("name", AVERAGES)
def test_a_restored_average_goes_on_as_before(name: str) -> None:
    model, one, other = nn.Linear(2, 1), AVERAGES[name](), AVERAGES[name]()
    feed(one, model, [1.0, 2.0])
    saved = io.BytesIO()
    torch.save(one.state_dict(), saved)
    saved.seek(0)
    other.load_state_dict(torch.load(saved, weights_only=True))
    for average in (one, other):
        feed(average, model, [5.0, 9.0])
    torch.testing.assert_close(other.weights(), one.weights(), rtol=0, atol=0)


@pytest.mark.parametrize("name", AVERAGES)
def test_a_restored_average_lies_where_the_model_does(name: str) -> None:
    average = AVERAGES[name]()
    feed(average, nn.Linear(2, 1), [1.0, 2.0])
    other = AveragedModel(nn.Linear(2, 1, device="meta"), restored := AVERAGES[name]())
    other.load_state_dict({"average": average.state_dict(), "own": {}})
    assert {weight.device.type for weight in restored.weights().values()} == {"meta"}


def test_borrowed_weights_are_given_back_even_after_an_error() -> None:
    model = nn.Linear(2, 1)
    own = {k: v.clone() for k, v in model.state_dict().items()}
    borrowed = {"weight": torch.full((1, 2), 7.0)}
    with with_weights(model, borrowed):
        assert torch.equal(model.weight, borrowed["weight"])
    torch.testing.assert_close(dict(model.state_dict()), own)
    with pytest.raises(InterruptedError), with_weights(model, borrowed):
        raise InterruptedError
    torch.testing.assert_close(dict(model.state_dict()), own)
