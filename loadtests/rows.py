"""Every row of the table of targets that ``loadtests.bench`` measures, by its name."""

from collections.abc import Callable, Mapping

from loadtests.growth import measure_b14
from loadtests.invariance import measure_b15
from loadtests.measurements import (
    Bench,
    OnStep,
    measure_b1,
    measure_b2,
    measure_b3,
    measure_b6,
    measure_b13,
)
from loadtests.report import RowResult

ROWS: Mapping[str, Callable[[Bench, OnStep], RowResult]] = {
    "B1": measure_b1,
    "B2": measure_b2,
    "B3": measure_b3,
    "B6": measure_b6,
    "B13": measure_b13,
    "B14": measure_b14,
    "B15": measure_b15,
}
