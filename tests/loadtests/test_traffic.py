import random

from loadtests.duplicates import DuplicatingSource
from loadtests.traffic import TaskForm, Traffic
from service.kinds.registry import kind_of
from service.schemas import TaskInfo, parse_input
from tests.support.service_fakes import tasks_of_every_kind

SINGLE = [TaskForm(name=name, form=("text",)) for name in ("mood", "topic", "stars")]
PAIRS = [TaskForm(name="same", form=("text", "text_pair"))]


def traffic(tasks: list[TaskForm], *, texts_per_request: int = 2) -> Traffic:
    texts = [f"text {index}" for index in range(10_000)]
    source = DuplicatingSource(texts, duplicates=0, generator=random.Random(0))
    return Traffic(tasks, source, texts_per_request=texts_per_request, generator=random.Random(0))


def test_a_task_is_asked_with_the_first_form_that_it_takes() -> None:
    assert TaskForm.of({"name": "same", "inputs": [["text", "text_pair"]]}) == PAIRS[0]
    assert TaskForm.of({"name": "mood", "inputs": [["text"], ["tokens"]]}) == SINGLE[0]


def test_every_task_of_every_kind_gets_inputs_that_the_service_takes() -> None:
    for name, entry in tasks_of_every_kind().items():
        info = TaskInfo.of(name, kind_of(entry), model="m", version="1")
        request = traffic([TaskForm.of(info.model_dump())]).one_task()
        assert {type(parse_input(each)) for each in request.body["inputs"]} <= set(
            kind_of(entry).reader.takes
        )


def test_every_task_is_asked_by_its_own_route_with_inputs_of_its_form() -> None:
    drawn = traffic(SINGLE + PAIRS)
    seen = set()
    for _ in range(200):
        request = drawn.one_task()
        name = request.path.split("/")[3]
        seen.add(name)
        assert len(request.body["inputs"]) == 2
        assert all(("text_pair" in each) == (name == "same") for each in request.body["inputs"])
    assert seen == {"mood", "topic", "stars", "same"}


def test_many_tasks_are_at_least_two_of_one_form_without_repetition() -> None:
    drawn = traffic(SINGLE + PAIRS)
    sizes = set()
    for _ in range(200):
        body = drawn.many_tasks().body
        takes_pair = "text_pair" in body["inputs"][0]
        assert set(body["tasks"]) <= {task.name for task in (PAIRS if takes_pair else SINGLE)}
        assert len(set(body["tasks"])) == len(body["tasks"])
        sizes.add((takes_pair, len(body["tasks"])))
    assert sizes == {(False, 2), (False, 3), (True, 1)}


def test_requests_have_as_many_inputs_as_asked_for() -> None:
    assert len(traffic(SINGLE, texts_per_request=7).many_tasks().body["inputs"]) == 7
