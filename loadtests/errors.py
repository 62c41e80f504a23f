"""Why a measurement could not be made. The message says what to do."""


class LoadTestError(Exception):
    """A load test that cannot run, or whose figures would mean nothing."""
