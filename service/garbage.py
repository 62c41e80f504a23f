"""What Python's collector of cycles is told.

A full collection walks through everything that is loaded, and stops every request for as long. What is loaded
at the start stays, as a rule, so it is hidden; an encoder that goes after all is part of cycles, and would
never be found.
"""

import gc


def hide_from_collector() -> None:
    """Hide all that is alive now."""
    gc.collect()
    gc.freeze()


def show_to_collector() -> None:
    """Let it look at everything again."""
    gc.unfreeze()
