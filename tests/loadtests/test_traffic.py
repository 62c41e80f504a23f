import random

from loadtests.duplicates import DuplicatingSource
from loadtests.traffic import TaskForm, Traffic

SINGLE = [TaskForm(name=name, takes_pair=False) for name in ("mood", "topic", "stars")]
PAIRS = [TaskForm(name="same", takes_pair=True)]


def traffic(tasks: list[TaskForm], *, texts_per_request: int = 2) -> Traffic:
    texts = [f"text {index}" for index in range(10_000)]
    source = DuplicatingSource(texts, duplicates=0, generator=random.Random(0))
    return Traffic(tasks, source, texts_per_request=texts_per_request, generator=random.Random(0))


def test_a_task_takes_pairs_if_it_reads_a_second_text() -> None:
    assert TaskForm.of({"name": "same", "input_fields": ["text", "text_pair"]}) == PAIRS[0]
    assert TaskForm.of({"name": "mood", "input_fields": ["text"]}) == SINGLE[0]


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
