"""Which of a bundle's tasks answers a route that was made for a server of one model. Pure."""

from collections.abc import Mapping, Sequence

from export.manifest import TaskKind
from service.errors import FieldError, InvalidRequest, UnknownTask
from service.inputs import TaskInput, describe_form
from service.kinds.base import Kind

PREDICTING = (TaskKind.CLASSIFICATION, TaskKind.MULTI_LABEL, TaskKind.PAIR_CLASSIFICATION)
RANKING = (TaskKind.RANKING,)


def choose_task(
    kinds: Mapping[str, Kind], named: str | None, *, of: Sequence[TaskKind], inputs: Sequence[TaskInput]
) -> str:
    """The named task, or the only one that fits.

    Args:
        kinds: The tasks that the request may have.
        named: What the request says, if it says anything.
        of: Kinds of task that the route can answer with.
        inputs: All of them must be of the form that the task takes.

    Raises:
        UnknownTask: If there is no task of that name.
        InvalidRequest: If none fits, or several do; they are named.
    """
    if named is not None and named not in kinds:
        raise UnknownTask.named([named], list(kinds))
    able = [name for name, kind in kinds.items() if kind.entry.kind in of]
    if not able:
        raise InvalidRequest(f"This request can have no task of kind {' or '.join(of)}.")
    if named is not None and named not in able:
        raise _fault(f"Task {named!r} is a {kinds[named].entry.kind}. This route takes: {', '.join(able)}.")
    forms = {type(each) for each in inputs}
    fitting = [
        name
        for name in (able if named is None else [named])
        if all(form in kinds[name].reader.takes for form in forms)
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise _fault(
            f"Several tasks fit: {', '.join(fitting)}. Name one: ?task={fitting[0]}, or /tei/{fitting[0]}/…"
        )
    found = " and ".join(sorted(map(describe_form, forms)))
    takes = "; ".join(f"{name} takes {describe_form(kinds[name].reader.takes[0])}" for name in able)
    raise _fault(
        f"No task takes the inputs, which have {found}: {takes}. A batch of texts is [[text], [text]]."
    )


def _fault(message: str) -> InvalidRequest:
    return InvalidRequest("The task cannot be told.", errors=[FieldError("task", message)])
