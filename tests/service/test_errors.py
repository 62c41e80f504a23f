import service.errors
from service.errors import Overloaded, ServiceError, UnknownTask

LEAVES = [
    each
    for each in vars(service.errors).values()
    if isinstance(each, type) and issubclass(each, ServiceError)
]


def test_every_error_has_its_own_name() -> None:
    slugs = [each.slug for each in LEAVES if "slug" in vars(each)]
    assert len(set(slugs)) == len(slugs)


def test_the_drawn_tree_names_every_error_and_its_status() -> None:
    drawing = service.errors.__doc__ or ""
    for each in LEAVES:
        (line,) = [line for line in drawing.splitlines() if each.__name__ in line.split()]
        assert str(each.status) in line


def test_retry_after_is_whole_seconds_and_never_zero() -> None:
    assert Overloaded("full", retry_after_s=0.01).headers == {"retry-after": "1"}
    assert Overloaded("full", retry_after_s=2.2).headers == {"retry-after": "3"}


def test_an_unknown_task_is_told_the_known_ones() -> None:
    error = UnknownTask.named(["ner"], ["sentiment", "intent"])
    assert error.detail == "Unknown task 'ner'. This bundle has: intent, sentiment."
