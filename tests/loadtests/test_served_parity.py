"""Which differences between served and torch answers count."""

from loadtests.served_parity import TaskParity, report


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
