"""One loaded bundle: its own heads, on an encoder that others may read from, too."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.bundle import Bundle
from service.engine import Engine
from service.heads import Head, HeadRunner
from service.kinds.registry import kind_of
from service.models.encoders import EncoderHost
from service.observer import Observer
from service.sessions import HeadSession


@dataclass(slots=True, kw_only=True, eq=False)
class Model:
    """What answers requests that are routed to one name and version."""

    bundle: Bundle
    engine: Engine
    host: EncoderHost
    leases: int = 0
    """Requests under way."""
    is_retired: bool = False
    """No new request gets it; it closes with its last lease."""

    @property
    def name(self) -> str:
        """Of the bundle."""
        return self.bundle.manifest.name

    @property
    def version(self) -> str:
        """Of the bundle."""
        return self.bundle.manifest.version

    def close(self) -> None:
        """Let its threads go, and leave the encoder."""
        self.engine.heads.close()
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
        observer=observer,
    )
    return Model(bundle=bundle, engine=engine, host=host)
