import pytest

from export.manifest import GoldenExample
from service.engine import StageTimes
from service.errors import SelfCheckFailed
from service.planning import plan
from service.tokenization import TextSequence
from tests.support.service_fakes import parts, running, task

TASKS = {"intent": task(labels=("ask", "buy")), "similar": task("pair_regression", pair="cross_encoder")}


async def golden_of_the_fakes() -> list[GoldenExample]:
    """What the fakes answer, as an export would have recorded it."""
    inputs = {"intent": {"text": "a b"}, "similar": {"text": "a", "text_pair": "b"}}
    examples = []
    async with running(parts(TASKS)) as runtime:
        for name, each in inputs.items():
            planned = plan([TextSequence(**each)], {name: TASKS[name]})
            logits, _ = await runtime.engine.logits(planned, timeout_s=9.0, times=StageTimes())
            examples.append(GoldenExample(task=name, input=each, logits=tuple(logits[name][0].tolist())))
    return examples


async def test_a_healthy_bundle_starts_with_an_empty_cache() -> None:
    async with running(parts(TASKS, golden=await golden_of_the_fakes())) as runtime:
        assert len(runtime.cache.pooled) == 0


@pytest.mark.parametrize("wrong", [0.01, float("nan")])
async def test_a_wrong_answer_ends_the_start_and_is_named(wrong: float) -> None:
    right, other = await golden_of_the_fakes()
    off = right.model_copy(update={"logits": (right.logits[0] + wrong, right.logits[1])})
    with pytest.raises(SelfCheckFailed, match=r"Task 'intent', example 1 \(\{'text': 'a b'\}\)"):
        async with running(parts(TASKS, golden=[off, other])):
            pass


async def test_a_wrong_number_of_logits_ends_the_start() -> None:
    right, _ = await golden_of_the_fakes()
    with pytest.raises((SelfCheckFailed, ValueError)):
        async with running(parts(TASKS, golden=[right.model_copy(update={"logits": (0.0,)})])):
            pass
