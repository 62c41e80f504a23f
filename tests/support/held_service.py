"""The service, with an encoder that waits, or fails, as long as a file exists: ``bentoml serve`` it.

Only the waiting and failing is added; queue, session and HTTP are the real ones.
"""

import os
import time
from pathlib import Path

from service.lanes import Crew
from service.packing import PackedBatch
from service.service import EncodeOnce as EncodeOnce
from service.sessions import EncoderOutputs, OnnxEncoderSession

HOLD = "TEST_HOLD_FILE"

_encode = OnnxEncoderSession.encode


def _held(self: OnnxEncoderSession, batch: PackedBatch, *, with_states: bool, crew: Crew) -> EncoderOutputs:
    hold = Path(os.environ[HOLD])
    entered = hold.with_suffix(".entered")
    if hold.with_suffix(".broken").exists():
        raise RuntimeError("lost")
    while hold.exists():
        entered.touch()
        time.sleep(0.01)
    return _encode(self, batch, with_states=with_states, crew=crew)


OnnxEncoderSession.encode = _held  # type: ignore[method-assign]
