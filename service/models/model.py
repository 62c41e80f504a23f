"""One loaded bundle: its own heads, on an encoder that others may read from, too."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

from service.bundle import Bundle
from service.decoding import AnswerDecoder
from service.engine import Engine
from service.errors import NotReady, SelfCheckFailed, ServiceError
from service.golden import check_golden
from service.heads import Head, HeadRunner
from service.kinds.registry import kind_of
from service.models.encoders import EncoderHost
from service.observer import Observer
from service.sessions import HeadSession

SUSPICIOUS_RUNS = 3
"""Runs in a row that a head failed on, from which on readiness asks the head itself."""

PROBE_TIMEOUT_S = 2.0


@dataclass(slots=True, kw_only=True, eq=False)
class Model:
    """What answers requests that are routed to one name and version."""

    bundle: Bundle
    engine: Engine
    host: EncoderHost
    serial: int = field(default_factory=count().__next__)
    """Of all models of this process: no other one ever has it."""
    leases: int = 0
    """Requests under way."""
    is_retired: bool = False
    """No new request gets it; it closes with its last lease."""

    @property
    def name(self) -> str:
        """The name that requests are routed by, from the manifest."""
        return self.bundle.manifest.name

    @property
    def version(self) -> str:
        """Tells models of one name apart, from the manifest."""
        return self.bundle.manifest.version

    @property
    def tolerance(self) -> float:
        """Largest accepted deviation of its answers from the torch model's."""
        return self.bundle.tolerance + self.host.rounding.tolerance

    async def check_heads(self) -> None:
        """Let every head that seems to fail answer its first golden example.

        A session that fails on everything is so told from inputs that no head could take, and one that has
        recovered comes back without traffic. A task without an example is not judged.

        Raises:
            NotReady: If a head does not answer it as the model did.
        """
        for task, failed in list(self.engine.heads.failed_runs.items()):
            if failed < SUSPICIOUS_RUNS:
                continue
            example = [each for each in self.bundle.golden if each.task == task][:1]
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    await check_golden(self.engine, example, tolerance=self.tolerance)
            except (ServiceError, SelfCheckFailed, TimeoutError) as error:
                raise NotReady(f"The head of {task!r} failed on its last {failed} runs.") from error

    def close(self) -> None:
        """Let its threads go, and leave the encoder."""
        self.engine.close()
        self.host.detach(self.engine.kinds.values())


def build_model(
    bundle: Bundle, heads: Mapping[str, HeadSession], host: EncoderHost, *, observer: Observer, row_len: int
) -> Model:
    """Put heads on an encoder."""
    tasks = bundle.manifest.tasks
    kinds = {name: kind_of(task) for name, task in tasks.items()}
    host.attach(kinds.values())
    engine = Engine(
        manifest=bundle.manifest,
        kinds=kinds,
        tokenizer=host.parts.tokenizer,
        encoder=host.shared,
        heads=HeadRunner(
            {name: Head(task=task, session=heads[name], row_len=row_len) for name, task in tasks.items()}
        ),
        decoder=AnswerDecoder(kinds),
        observer=observer,
    )
    return Model(bundle=bundle, engine=engine, host=host)
