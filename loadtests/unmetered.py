"""The service without its metrics, to measure what they cost.

``bentoml serve loadtests.unmetered:EncodeOnce``: there is no setting for it. Registry and ``/metrics`` stay;
nothing is counted.
"""

import os
from typing import Any

# BentoML's directory for counters of several processes: prometheus_client reads it when it is imported, and
# the gateway, which takes it away, comes later.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

from service.metrics import Metrics
from service.service import EncodeOnce as EncodeOnce


def _see_nothing(_self: Metrics, *_: Any) -> None:  # noqa: ANN401 - whatever there is to see
    pass


for _name in [each for each in vars(Metrics) if each.startswith("saw_")]:
    setattr(Metrics, _name, _see_nothing)
