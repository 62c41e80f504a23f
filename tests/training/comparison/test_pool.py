import os
from pathlib import Path

from training.comparison.pool import Done, Failed, Message, Progress, Tell, Work, in_processes
from training.errors import DataError


def double(number: int, tell: Tell) -> int:
    tell(Progress(step=number))
    print("computing", number)
    return 2 * number


def refuse(_tell: Tell) -> None:
    raise DataError("row 3: no label")


def break_down(_tell: Tell) -> None:
    raise ValueError("unforeseen")


def die(_tell: Tell) -> None:
    os._exit(3)


def whose(_tell: Tell) -> int:
    return os.getpid()


def work(name: str, function: object, folder: Path, *arguments: object) -> Work:
    return Work(name=name, function=function, arguments=arguments, log=folder / f"{name}.log")  # type: ignore[arg-type]


def test_each_piece_of_work_has_its_process_and_none_harms_the_others(tmp_path: Path) -> None:
    works = [
        work("first", double, tmp_path, 1),
        work("refused", refuse, tmp_path),
        work("broken", break_down, tmp_path),
        work("dead", die, tmp_path),
        work("last", double, tmp_path, 4),
        work("mine", whose, tmp_path),
        work("other", whose, tmp_path),
    ]
    told: dict[str, list[Message]] = {each.name: [] for each in works}
    for name, message in in_processes(works, jobs=2):
        told[name].append(message)
    assert told["first"] == [Progress(step=1), Done(result=2)]
    assert told["last"] == [Progress(step=4), Done(result=8)]
    assert told["refused"] == [Failed(reason="row 3: no label")]
    assert told["dead"] == [Failed(reason="its process ended with exit code 3")]
    (broken,) = told["broken"]
    assert isinstance(broken, Failed)
    assert broken.reason.startswith("ValueError: unforeseen (see ")
    assert "in break_down" in (tmp_path / "broken.log").read_text()
    assert (tmp_path / "first.log").read_text() == "computing 1\n"
    processes = {
        message.result for name in ("mine", "other") for message in told[name] if isinstance(message, Done)
    }
    assert len(processes | {os.getpid()}) == 3


def test_work_that_nobody_waits_for_any_more_is_ended(tmp_path: Path) -> None:
    works = [work(str(number), double, tmp_path, number) for number in range(3)]
    messages = in_processes(works, jobs=1)
    next(messages)
    messages.close()  # type: ignore[attr-defined]
    assert not (tmp_path / "2.log").exists()
