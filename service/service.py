"""The BentoML service: start-up, shutdown, and the native method. No logic.

Arbiter and worker both import this module, so whatever takes time is imported where it is used.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import bentoml

from service.gateway import Gateway
from service.lifecycle import Lifecycle

if TYPE_CHECKING:
    from service.http.admin.listener import AdminListener

LIFECYCLE = Lifecycle()
"""This process's service. BentoML builds the middleware before it makes the instance; both meet here."""


@bentoml.service(
    name="encodeonce",
    workers=1,  # one process holds queue, cache and session; scaling out is replicas
    metrics={"enabled": False},  # /metrics is ours
    logging={"access": {"enabled": False}},
)
class EncodeOnce:
    """Every task of the bundle, at the price of one encoding a text."""

    _admin: "AdminListener | None" = None

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check() -> None:
        """Refuse a bad bundle or setting before there is a worker: the arbiter would restart it for ever."""
        from service.preflight import check_settings_and_bundle, keep_state_for_workers

        check_settings_and_bundle()
        keep_state_for_workers()

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        """Load the bundle and check it; the ports answer only after this."""
        from service.assembly import launch
        from service.garbage import hide_from_collector, hide_soon
        from service.http.admin.listener import AdminListener, open_socket
        from service.http.app import create_admin_app
        from service.settings import Settings
        from service.shutdown import bound_shutdown

        settings = Settings()
        runtime = await launch(settings)
        hide_from_collector()
        runtime.models.on_load = partial(hide_soon, anew=False)
        runtime.models.on_unload = partial(hide_soon, anew=True)
        LIFECYCLE.get_ready(runtime)
        bound_shutdown(LIFECYCLE, drain_s=settings.drain_s)
        if (address := settings.admin_address) is not None:
            self._admin = AdminListener(create_admin_app(LIFECYCLE), open_socket(*address))

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        """Refuse newcomers, then stop the threads."""
        LIFECYCLE.stop()
        if self._admin is not None:
            await self._admin.close()
        if (runtime := LIFECYCLE.loaded_runtime) is not None:
            await runtime.close()

    @bentoml.api(route="/v1/predict")  # type: ignore[untyped-decorator]
    async def predict(
        self,
        inputs: list[Any],
        tasks: list[str] | None = None,
        top_k: int | None = None,
        return_scores: bool = True,
        return_logits: bool = False,
    ) -> dict[str, Any]:
        """Answer tasks on inputs.

        Over HTTP the application serves this route, with the same arguments; ``bentoml.SyncHTTPClient``
        learns them from here. Called in-process, this answers.
        """
        from service.http.predict import predict_native

        return await predict_native(
            LIFECYCLE.runtime,
            {
                "inputs": inputs,
                "tasks": tasks,
                "top_k": top_k,
                "return_scores": return_scores,
                "return_logits": return_logits,
            },
        )


EncodeOnce.add_asgi_middleware(Gateway, lifecycle=LIFECYCLE)  # type: ignore[attr-defined]
