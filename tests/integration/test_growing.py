"""A bundle before and after a head was added: what was asked before is answered the same, to the last bit."""

from pathlib import Path
from typing import Any

from export.manifest import read_golden
from service.assembly import launch
from service.schemas import parse_input
from service.settings import Provider, Settings
from tests.support.growing import NEW_TASKS

TIMEOUT_S = 60.0


async def answers(bundle: Path, inputs: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """Each input of its task, asked alone: no other text shares its batch."""
    settings = Settings(bundle=bundle, provider=Provider.CPU, threads=1, row_len=48)
    runtime = await launch(settings)
    try:
        found = []
        for task, given in inputs:
            prediction = await runtime.engine.predict([parse_input(given)], tasks=[task], timeout_s=TIMEOUT_S)
            found.append(prediction.answers)
        return found
    finally:
        await runtime.close()


async def test_old_answers_are_bit_identical_and_new_tasks_answer(
    tiny_bundle: Path, grown_bundle: Path
) -> None:
    old = [(example.task, example.input) for example in read_golden(tiny_bundle)]
    before, after = [await answers(bundle, old) for bundle in (tiny_bundle, grown_bundle)]
    assert before == after, "floats compare by their bits but for zeros and nans"
    new = [(each.task, each.input) for each in read_golden(grown_bundle) if each.task in NEW_TASKS]
    found = await answers(grown_bundle, new)
    assert len(found) == len(new)
    assert {task for [[answer]] in [[one] for one in found] for task in answer} == set(NEW_TASKS)
