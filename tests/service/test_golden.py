import traceback
from typing import Any

import pytest

from export.manifest import GoldenExample
from service.errors import SelfCheckFailed
from service.planning import plan
from service.schemas import parse_input
from tests.support.service_fakes import POISON, parts, running, tasks_of_every_kind

TASKS = tasks_of_every_kind()
DOCUMENTS = ["c", "d", "e"]
CONTEXT = " ".join(f"w{n}" for n in range(40))
INPUTS: dict[str, dict[str, Any]] = {
    "intent": {"text": "a b"},
    "topics": {"text": "a b"},
    "mood": {"text": "a b"},
    "duplicate": {"text": "a", "text_pair": "b"},
    "similar": {"text": "a", "text_pair": "b"},
    "article": {"query": "a", "documents": DOCUMENTS},
    "passage": {"query": "a", "documents": DOCUMENTS},
    "entities": {"tokens": ["a", "b", "c"]},
    "word_class": {"text": "a b"},
    "answer": {"question": "where is it", "context": CONTEXT},
    "next_step": {"question": "a", "context": "b", "choices": ["c", "d"]},
}


async def golden_of_the_fakes(inputs: dict[str, dict[str, Any]] = INPUTS) -> list[GoldenExample]:
    """What the fakes answer, as an export would have recorded it."""
    examples = []
    async with running(parts(TASKS)) as runtime:
        for name, each in inputs.items():
            planned = plan([parse_input(each)], runtime.engine.tasks_named([name]))
            readings = await runtime.engine.read(planned, timeout_s=9.0)
            examples.append(GoldenExample(task=name, input=each, logits=readings[name].logits.tolist()))
    return examples


async def test_a_healthy_bundle_starts_with_an_empty_cache() -> None:
    async with running(parts(TASKS, golden=await golden_of_the_fakes())) as runtime:
        assert len(runtime.cache.pooled) == 0


@pytest.mark.parametrize("wrong", [0.01, float("nan")])
async def test_a_wrong_answer_ends_the_start_and_is_named(wrong: float) -> None:
    right, *others = await golden_of_the_fakes()
    ((first, *more), *rows) = right.logits
    off = right.model_copy(update={"logits": ((first + wrong, *more), *rows)})
    with pytest.raises(SelfCheckFailed, match="Task 'intent', example 1: expected"):
        async with running(parts(TASKS, golden=[off, *others])):
            pass


async def test_a_wrong_number_of_logits_ends_the_start() -> None:
    right, *_ = await golden_of_the_fakes()
    for logits in ((), ((0.0,),), (*right.logits, *right.logits)):
        with pytest.raises(SelfCheckFailed, match="expected logits of shape"):
            async with running(parts(TASKS, golden=[right.model_copy(update={"logits": logits})])):
                pass


async def test_token_level_kinds_are_compared_on_every_token_of_every_window() -> None:
    (right,) = await golden_of_the_fakes({"answer": INPUTS["answer"]})
    # The question's 3 words and 3 special tokens leave 18 of 24 for the context's 40 words, 2 of them shared.
    assert len(right.logits) == 24 + 24 + (6 + 8)
    *rows, (start, end) = right.logits
    off = right.model_copy(update={"logits": (*rows, (start, end + 0.1))})
    with pytest.raises(SelfCheckFailed, match="Task 'answer', example 1"):
        async with running(parts(TASKS, golden=[off])):
            pass


async def test_an_example_that_is_no_input_ends_the_start_without_its_text() -> None:
    given = {"question": "my secret", "context": "b", "choices": ["only one"]}
    alone = GoldenExample(task="next_step", input=given, logits=((0.0,),))
    with pytest.raises(SelfCheckFailed, match=r"Task 'next_step', example 1: .*choices") as failed:
        async with running(parts(TASKS, golden=[alone])):
            pass
    assert "secret" not in "".join(traceback.format_exception(failed.value))


@pytest.mark.parametrize("given", [{"text": "a", "text_pair": "b"}, {"text": POISON}])
async def test_an_example_that_its_task_cannot_answer_ends_the_start(given: dict[str, Any]) -> None:
    wrong = GoldenExample(task="intent", input=given, logits=((0.0,),))
    with pytest.raises(SelfCheckFailed, match="Task 'intent': "):
        async with running(parts(TASKS, golden=[wrong])):
            pass
