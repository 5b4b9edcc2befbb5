"""Waiting for an event with a deadline: the only place of the suites that sleeps."""

import time

INTERVAL_S = 0.02


def eventually(probe, timeout=60.0, what=None, interval=INTERVAL_S):
    """Calls probe() until it returns something true, and returns that.

    An AssertionError or OSError of the probe counts as "not yet"; the last one is part of the
    failure's text.
    """
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = probe()
            if value:
                return value
            last = f"last value: {value!r}"
        except (AssertionError, OSError) as error:
            last = f"last error: {error!r}"
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or probe.__name__} ({last})")
        time.sleep(interval)
