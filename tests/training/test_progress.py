import io
from pathlib import Path

from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.gradients import StepReport
from training.observing import Evaluation
from training.progress import RunObserver, metrics_table, say

EVALUATION = Evaluation(
    step=2, metrics={"mood": {"accuracy": 0.75, "f1_macro": 0.5}}, score=0.75, is_best=True
)


def report(losses: dict[str, float]) -> StepReport:
    weights = dict.fromkeys(losses, 0.5)
    return StepReport(
        losses=losses, weights=weights, cosines={("mood", "stars"): -0.25}, probabilities={"mood": 1.0}
    )


def test_away_from_a_terminal_a_run_prints_one_plain_line_an_evaluation(tmp_path: Path) -> None:
    output = io.StringIO()
    console = Console(file=output, width=40)
    with RunObserver(console, tmp_path, steps=2, first_step=0) as observer:
        observer.on_step(1, report({"mood": 1.5}), {"heads": 1e-3})
        observer.on_step(2, report({"mood": 1.5}), {"heads": 1e-3})
        observer.on_evaluation(EVALUATION)
    assert output.getvalue() == "step 2: joint score 0.7500  (best)  mood 0.750  loss: mood 1.500\n"


def test_on_a_terminal_a_bar_shows_steps_and_losses(tmp_path: Path) -> None:
    output = io.StringIO()
    console = Console(file=output, width=120, force_terminal=True)
    with RunObserver(console, tmp_path, steps=5, first_step=2) as observer:
        observer.on_step(3, report({"mood": 1.25}), {"heads": 1e-3})
    assert "3/5" in output.getvalue()
    assert "mood 1.250" in output.getvalue()


def test_losses_scores_and_rates_are_tensorboard_series(tmp_path: Path) -> None:
    with RunObserver(Console(quiet=True), tmp_path, steps=2, first_step=0) as observer:
        observer.on_step(1, report({"mood": 1.5}), {"heads": 1e-3, "encoder": 1e-5})
        observer.on_evaluation(EVALUATION)
    series = EventAccumulator(str(tmp_path))
    series.Reload()
    assert set(series.Tags()["scalars"]) == {
        "loss/mood",
        "weight/mood",
        "sampling/mood",
        "gradient_cosine/mood_stars",
        "learning_rate/heads",
        "learning_rate/encoder",
        "accuracy/mood",
        "f1_macro/mood",
        "joint_score",
        "step_cpu_s",
    }


def test_a_line_is_printed_as_it_is() -> None:
    output = io.StringIO()
    say(Console(file=output, width=20), "runs/[bold]name[/bold] " + "word " * 20)
    assert output.getvalue() == "runs/[bold]name[/bold] " + "word " * 20 + "\n"


def test_the_table_has_every_metric_of_every_task() -> None:
    output = io.StringIO()
    Console(file=output, width=80).print(
        metrics_table("on dev", {"mood": {"accuracy": 0.75}, "close": {"mse": 2}})
    )
    assert "accuracy" in output.getvalue()
    assert "2.0000" in output.getvalue()
