import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.support.tiny import write_config
from training.__main__ import main
from training.affinity import Affinities, Lookahead, inter_task_affinity, mean_affinities
from training.comparison.affinities import affinity_table, best_partner

SmallConfig = Callable[..., dict[str, Any]]
UNCLIPPED = 1e9


def to(parameter: Tensor, *target: float) -> Callable[[], Tensor]:
    """Half the squared distance from a point."""
    return lambda: 0.5 * (parameter - torch.tensor(target)).square().sum()


def test_quadratics_as_computed_by_hand() -> None:
    """From (0, 0): a = ½|x−(2,0)|² = 2 with gradient (−2, 0), b = ½|x−(1,1)|² = 1 with gradient (−1, −1)."""
    x = nn.Parameter(torch.zeros(2))
    found = inter_task_affinity(
        {"a": to(x, 2.0, 0.0), "b": to(x, 1.0, 1.0)}, [x], Lookahead(rate=0.5, max_grad_norm=UNCLIPPED)
    )
    # A step on a leads to (1, 0): a = ½, b = ½. A step on b leads to (½, ½): a = ½(9/4 + 1/4) = 5/4, b = ¼.
    assert found == pytest.approx(
        {("a", "a"): 1 - 0.5 / 2, ("a", "b"): 1 - 0.5, ("b", "a"): 1 - 1.25 / 2, ("b", "b"): 1 - 0.25}
    )


def test_opposite_tasks_harm_each_other_and_a_task_without_loss_has_nothing_to_gain() -> None:
    x = nn.Parameter(torch.zeros(1))
    losses = {"left": to(x, -1.0), "right": to(x, 1.0), "here": to(x, 0.0)}
    found = inter_task_affinity(losses, [x], Lookahead(rate=0.1, max_grad_norm=UNCLIPPED))
    assert found["left", "right"] == pytest.approx(1 - 1.1**2)
    assert found["left", "right"] == pytest.approx(found["right", "left"])
    assert found["left", "left"] == pytest.approx(1 - 0.9**2)
    assert found["left", "here"] == 0
    assert found["here", "left"] == 0


def test_a_long_gradient_is_shortened() -> None:
    x = nn.Parameter(torch.zeros(2))
    found = inter_task_affinity({"a": to(x, 30.0, 40.0)}, [x], Lookahead(rate=1.0, max_grad_norm=5.0))
    assert found["a", "a"] == pytest.approx(1 - 45**2 / 50**2), "a step of 5 toward a point 50 away"


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.floats(0.001, 2))
def test_the_shared_parameters_are_left_as_they_were_to_the_last_bit(start: list[float], rate: float) -> None:
    x, unused = nn.Parameter(torch.tensor(start)), nn.Parameter(torch.ones(2))
    before = x.detach().clone()
    inter_task_affinity(
        {"a": to(x, 1.0, 2.0, 3.0), "b": to(x, 0.1, 0.2, 0.3)},
        [x, unused],
        Lookahead(rate=rate, max_grad_norm=1.0),
    )
    assert torch.equal(x, before)
    assert x.grad is None


def test_the_means_partners_and_table_are_those_of_the_measurements() -> None:
    def both(ab: float, ba: float) -> Affinities:
        return {("a", "a"): 0.5, ("a", "b"): ab, ("b", "a"): ba, ("b", "b"): 0.5}

    mean = mean_affinities([both(0.1, -0.2), both(0.3, 0.1)])
    assert mean["a", "b"] == pytest.approx(0.2)
    assert best_partner("b", ["a", "b"], mean) == "a"
    assert best_partner("a", ["a", "b"], mean) is None, "a step on b raises the loss of a"
    assert affinity_table(["a", "b"], mean).rows[0] == ("a", "+50.00 %", "+20.00 %")


def test_the_command_measures_along_one_run_and_reports(
    small_config: SmallConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = small_config(tasks=("sentiment", "stars"), steps=4, batches="metabatch", evaluate_every=3)
    file = write_config(tmp_path / "small.yaml", raw)
    output = tmp_path / "affinity"
    assert main(["affinity", str(file), "--output", str(output), "--every", "2"]) == 0
    assert "| sentiment | +" in (output / "report.md").read_text(), "a step on a task lowers its own loss"
    html = (output / "report.html").read_text()
    assert html.count("<svg") == 2
    assert ">affinity (% of the loss)</text>" in html
    shown = capsys.readouterr().out
    assert "tiny: 4 steps, measured at every 2." in shown
    for step in (3, 4):
        assert f"step {step}: joint score" in shown, "phases, rules and balancers learn from what is declared"
    assert not list(output.glob("checkpoints"))

    raw["training"]["unfreeze_every"] = 1
    assert main(["affinity", str(write_config(file, raw)), "--output", str(output)]) == 2
    assert "training.unfreeze_every: the parameters that step" in capsys.readouterr().err

    raw["training"].pop("unfreeze_every")
    raw["tasks"].pop("stars")
    assert main(["affinity", str(write_config(file, raw)), "--output", str(output)]) == 2
    assert "expected at least two" in capsys.readouterr().err


def test_what_a_sharing_layer_shares_steps_too(small_config: SmallConfig, tmp_path: Path) -> None:
    raw = small_config(tasks=("sentiment", "stars"), steps=1, batches="metabatch")
    raw["encoder"]["train"] = "frozen"
    raw["sharing"] = "mmoe"
    file, output = write_config(tmp_path / "small.yaml", raw), tmp_path / "affinity"
    assert main(["affinity", str(file), "--output", str(output), "--every", "1"]) == 0
    mean = json.loads((output / "affinity.json").read_text())["mean"]
    assert mean["sentiment/sentiment"] > 0


def test_a_run_that_ends_before_its_first_measurement_says_so(
    small_config: SmallConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = small_config(tasks=("sentiment", "stars"), steps=9, evaluate_every=1, batches="metabatch")
    raw["training"] |= {"learning_rate": 1e-12, "encoder_learning_rate": 1e-12}
    raw["selection"]["patience"] = 1
    file = write_config(tmp_path / "small.yaml", raw)
    assert main(["affinity", str(file), "--output", str(tmp_path / "affinity"), "--every", "9"]) == 2
    assert "patience ended the run at step 2, before the first measurement" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "fast"])
def test_a_rate_that_is_no_step_is_refused(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["affinity", "file.yaml", "--output", "folder", f"--rate={rate}"])
    assert f"expected a number above 0, found '{rate}'" in capsys.readouterr().err
