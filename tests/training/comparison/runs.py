"""Results of runs that never were."""

from training.comparison.results import RunResult
from training.history import HistoryPoint


def result(
    variant: str,
    seed: int = 0,
    *,
    task: str | None = None,
    history: tuple[HistoryPoint, ...] = (),
    parameters: int | None = None,
    **primary: float,
) -> RunResult:
    """Of a run with these primary metrics."""
    return RunResult(
        variant=variant,
        task=task,
        seed=seed,
        config_sha256="",
        commit="0ff1ce0",
        step=10,
        batches=dict.fromkeys(primary, 5),
        dev={name: {"accuracy": value, "f1_macro": 0.0} for name, value in primary.items()},
        history=history,
        parameters=parameters,
    )


def course(*joint_scores: float, weights: dict[str, float]) -> tuple[HistoryPoint, ...]:
    """A history with these joint scores, every ten steps."""
    tasks = list(weights)
    return tuple(
        HistoryPoint(
            step=10 * number,
            scores=dict.fromkeys(tasks, score),
            joint_score=score,
            losses=dict.fromkeys(tasks, 1.0),
            weights=weights,
            cosines={"/".join(tasks): 0.5 - score} if len(tasks) == 2 else {},
            wall_s=2.0,
            cpu_s=1.0,
            peak_mib=100.0,
        )
        for number, score in enumerate(joint_scores, 1)
    )
