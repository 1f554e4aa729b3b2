"""A wall clock that jumps, for a whole process; the monotonic clock goes on, as it does when a clock is set."""

import os
import random
import time

YEAR = 365.25 * 86400
KINDS = {
    "back and forth by years": lambda looks: random.uniform(-40, 40) * YEAR if looks % 2 else 0.0,
    "back by an hour at every look": lambda looks: -3600.0 * looks,
    "to before 1970": lambda looks: -80 * YEAR,
}

if os.environ.get("SNELLEN_TEST_CLOCK"):
    offset = KINDS[os.environ["SNELLEN_TEST_CLOCK"]]
    true_time, true_gmtime, true_localtime, looks = time.time, time.gmtime, time.localtime, 0

    def jumping() -> float:
        """Seconds since 1970, or whatever the clock says now."""
        global looks
        looks += 1
        return true_time() + offset(looks)

    time.time = jumping
    time.time_ns = lambda: int(jumping() * 1e9)
    time.gmtime = lambda seconds=None: true_gmtime(jumping() if seconds is None else seconds)
    time.localtime = lambda seconds=None: true_localtime(jumping() if seconds is None else seconds)
