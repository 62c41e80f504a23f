import json
from itertools import islice

from loadtests.growth import MOST_TEXTS, MOST_WORDS, request_bodies

TEXTS = [f"word{number} and some more of them" for number in range(400)]
TASKS = ["mood", "topic", "value"]


def test_requests_have_every_length_and_mixture_of_tasks() -> None:
    bodies = [json.loads(body) for body in islice(request_bodies(TEXTS, TASKS, seed=0), 500)]
    lengths = [len(text.split()) for body in bodies for text in body["inputs"]]
    assert min(lengths) == 1
    assert 0.8 * MOST_WORDS < max(lengths) <= MOST_WORDS
    assert {len(body["inputs"]) for body in bodies} == set(range(1, MOST_TEXTS + 1))
    assert {len(body["tasks"]) for body in bodies} == {1, 2, 3}
    assert all(len(set(body["tasks"])) == len(body["tasks"]) for body in bodies)
    assert sum(length < 16 for length in lengths) > len(lengths) / 3, "short ones are frequent"


def test_requests_are_those_of_the_seed() -> None:
    first, again, other = (list(islice(request_bodies(TEXTS, TASKS, seed=seed), 20)) for seed in (1, 1, 2))
    assert first == again != other


def test_few_texts_are_enough() -> None:
    (body,) = islice(request_bodies(["one word"], TASKS, seed=0), 1)
    assert all(text for text in json.loads(body)["inputs"])
