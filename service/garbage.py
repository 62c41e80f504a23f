"""What Python's collector of cycles is told.

A full collection walks through everything that is loaded, and stops every request for as long. What is loaded
stays, as a rule, so it is hidden, at the start and after each load. An encoder that goes after all is part of
cycles: then alone everything is shown, looked through once, and hidden again.
"""

import asyncio
import gc
from functools import partial

SETTLING_S = 1.0
"""Until whoever loaded or unloaded something has let go of what it held."""


def hide_from_collector(*, anew: bool = False) -> None:
    """Let go of what nobody can reach, and hide all that is alive now.

    Args:
        anew: Whether something that was hidden may be out of reach by now.
    """
    if anew:
        gc.unfreeze()
    gc.collect()
    gc.freeze()


def hide_soon(*, anew: bool, delay_s: float = SETTLING_S) -> None:
    """The same, once the present work is done. Needs a running loop."""
    asyncio.get_running_loop().call_later(delay_s, partial(hide_from_collector, anew=anew))
