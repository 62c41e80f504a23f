"""Which differences between served and torch answers count."""

import numpy as np

from loadtests.served_parity import TaskParity, count_differing, report


def test_another_label_counts_unless_the_torch_models_best_two_tie() -> None:
    expected = np.array([[0.9, 0.1], [0.5001, 0.4999], [0.2, 0.8]], dtype=np.float32)
    served = np.array([[0.1, 0.9], [0.4999, 0.5001], [0.2, 0.8]], dtype=np.float32)
    assert count_differing(expected, served) == 1


def test_parity_holds_only_without_differing_labels_and_within_the_tolerance() -> None:
    def parity(*, differing: int, deviation: float) -> TaskParity:
        return TaskParity(
            task="a",
            rows=3,
            differing=differing,
            deviation=deviation,
            torch_metrics={"accuracy": 1.0},
            served_metrics={"accuracy": 1.0},
        )

    assert parity(differing=0, deviation=1e-4).holds
    assert not parity(differing=1, deviation=1e-4).holds
    assert not parity(differing=0, deviation=2e-3).holds
    assert "| a | 3 | 1 | 1.0e-04 | accuracy | 1.0000 | 1.0000 |" in report(
        [parity(differing=1, deviation=1e-4)]
    )
