r"""Mixed traffic: single texts and pairs, one task and many, with as many repetitions as you like.

Start a service (`make serve`), then in another terminal:

    .venv/bin/python -m locust -f loadtests/locustfile.py --host http://127.0.0.1:3000 \
        --headless --users 16 --spawn-rate 16 --run-time 30s --duplicates 0.5 --texts-per-request 1

Without `--headless`, the dashboard is at http://localhost:8089. The tasks come from the service.

    --duplicates SHARE        of texts that were sent before, 0 to 1 (default 0: the cache is of no use)
    --texts-per-request N     inputs of a request (default 1)
    --many-tasks SHARE        of requests that ask several tasks at once, 0 to 1 (default 0.5)
    --text-file FILE          one text a line; by default SST-5 and Quora under CS224N_DATA (../shared/data)

Locust itself takes a core: it shows behaviour under load, not the service's limits. For those:
`python -m loadtests.bench`.
"""

import random
from pathlib import Path
from typing import Any

from locust import HttpUser, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtests.duplicates import DuplicatingSource
from loadtests.texts import default_data_folder, load_lines, load_sentences
from loadtests.traffic import TaskForm, Traffic

SOURCES: dict[Environment, DuplicatingSource] = {}
"""The text source of a run. All its users draw from it, so that a text is fresh only once."""


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share between 0 and 1, found {text}")
    return share


def add_options(parser: LocustArgumentParser) -> None:
    """Add the options of the module's docstring."""
    group = parser.add_argument_group("mixed traffic")
    group.add_argument("--duplicates", type=_share, default=0.0, help="share of repeated texts, 0 to 1")
    group.add_argument("--texts-per-request", type=int, default=1, help="inputs of a request")
    group.add_argument("--many-tasks", type=_share, default=0.5, help="share of many-task requests, 0 to 1")
    group.add_argument("--text-file", type=str, default="", help="one text a line")


def load_texts(environment: Environment, **_: Any) -> None:  # noqa: ANN401 - locust's further arguments
    """Read the texts before the first user starts."""
    options = environment.parsed_options
    assert options is not None, "locust parses its command line before a test starts"
    file = options.text_file
    texts = load_lines(Path(file)) if file else load_sentences(default_data_folder())
    SOURCES[environment] = DuplicatingSource(texts, duplicates=options.duplicates, generator=random.Random(0))


class MixedTraffic(HttpUser):
    """Asks without a pause."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Learn what the service answers."""
        options = self.environment.parsed_options
        assert options is not None, "locust parses its command line before a user starts"
        response = self.client.get("/v1/tasks")
        response.raise_for_status()
        self._many_tasks: float = options.many_tasks
        self._generator = random.Random()
        self._traffic = Traffic(
            [TaskForm.of(info) for info in response.json()["tasks"]],
            SOURCES[self.environment],
            texts_per_request=options.texts_per_request,
            generator=self._generator,
        )

    @task
    def ask(self) -> None:
        """One request."""
        wants_many = self._generator.random() < self._many_tasks
        request = self._traffic.many_tasks() if wants_many else self._traffic.one_task()
        self.client.post(request.path, json=request.body, name=request.group)


events.init_command_line_parser.add_listener(add_options)  # type: ignore[no-untyped-call]
events.test_start.add_listener(load_texts)  # type: ignore[no-untyped-call]
