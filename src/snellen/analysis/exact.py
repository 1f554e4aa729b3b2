"""The minimum cover: the fewest zooms that together reach the upper bound, or a proof of how few they can be at best.

Most of the problem solves itself: an image that a single zoom reads forces that zoom, and few images remain that
neither it nor a harder image makes superfluous. What is left goes to an integer program.
"""

import contextlib
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.bits import distinct, packed
from snellen.analysis.cover import ExactCover, greedy_cover

# The share of the time limit that reductions may take; they are right wherever they stop.
REDUCTIONS = 0.25
# What sums of prices may be off by; covers have whole numbers of zooms.
TOLERANCE = 1e-6
# Seconds before the limit at which the solver is asked to stop by itself.
HEADSTART = 1.0
SOLVER = Path(__file__).with_name("solver.py")


def exact_cover(correct: NDArray[np.bool_], time_limit: float = 60.0) -> ExactCover:
    """The smallest cover of `correct`, bool `[images, zooms]`, that `time_limit` seconds find, with a lower bound.

    It is fitted to the labels it is scored on, so it is an oracle, as the greedy cover is.
    The time limit holds whatever the solver does: it runs in a process of its own, which is ended at the limit. What
    is known then is returned: the best cover so far, at worst the greedy one without its superfluous zooms, and the
    best bound so far, at worst one that the greedy cover gives.
    Method: the set cover problem by its classic reductions, then linear and integer programming with HiGHS.

    >>> found = exact_cover(np.array([[1, 0, 1], [1, 0, 1], [1, 0, 0], [0, 1, 1], [0, 1, 1], [0, 1, 0]], bool))
    >>> found.zooms, found.lower_bound, found.optimal  # the greedy cover takes zoom 2 first, and then both others
    ((0, 1), 2, True)
    """
    start = time.monotonic()
    forced, core, zooms = _reduce(correct, start + REDUCTIONS * time_limit)
    greedy = greedy_cover(core)
    chosen, bound = without_superfluous(core, greedy), max(_disjoint(core), _priced(core, greedy))
    cover = [*forced, *zooms[chosen].tolist()]
    if bound < len(chosen):
        whole = without_superfluous(correct, greedy_cover(correct))
        if len(whole) < len(cover):  # greedy on what is left may be the unluckier one
            cover = whole.tolist()
        better, proven = _solve(core, start + time_limit)
        bound = max(bound, proven)
        if better is not None and len(forced) + len(better) < len(cover) and core[:, better].any(axis=1).all():
            cover = [*forced, *zooms[better].tolist()]
    lower = min(len(forced) + bound, len(cover))
    return ExactCover(
        zooms=tuple(sorted(cover)),
        size=len(cover),
        lower_bound=lower,
        gap=len(cover) - lower,
        optimal=len(cover) == lower,
        seconds=time.monotonic() - start,
        time_limit=time_limit,
    )


def without_superfluous(correct: NDArray[np.bool_], cover: NDArray[np.intp]) -> NDArray[np.intp]:
    """The cover less the zooms whose images the others cover too, the last taken first: intp `[zooms kept]`."""
    times = correct[:, cover].sum(axis=1)
    kept = list(cover)
    for zoom in reversed(cover):
        if (times[correct[:, zoom]] > 1).all():
            kept.remove(zoom)
            times -= correct[:, zoom]
    return np.array(kept, np.intp)


def _reduce(correct: NDArray[np.bool_], deadline: float) -> tuple[list[int], NDArray[np.bool_], NDArray[np.intp]]:
    """The zooms that every cover of some minimal size may as well hold, and the problem that is left without them.

    Returns those zooms; what is left, bool `[images left, zooms left]`; and which zooms its columns are.
    """
    left, zooms = correct[correct.any(axis=1)], np.arange(correct.shape[1])
    left = left[distinct(left)[0]]
    forced: list[int] = []
    while len(left):
        shape = left.shape
        single = left[left.sum(axis=1) == 1].any(axis=0)
        forced += zooms[single].tolist()
        left = _hardest(left[~left[:, single].any(axis=1)], deadline)
        best = _unbeaten(left)
        left, zooms = left[:, best], zooms[best]
        left = left[distinct(left)[0]]
        if left.shape == shape or time.monotonic() > deadline:
            break
    return forced, left, zooms


def _hardest(rows: NDArray[np.bool_], deadline: float) -> NDArray[np.bool_]:
    """The rows that contain no other: whoever covers an image that fewer zooms read covers this one too.

    rows: distinct, bool `[images, zooms]`. Some that contain another stay where time runs out.
    """
    rows = rows[np.argsort(rows.sum(axis=1), kind="stable")]  # those that contain no other come early
    bits = packed(rows)
    dropped = np.zeros(bits.shape[1] * 8, np.uint8)
    for place, row in enumerate(rows):
        octet, bit = place >> 3, 128 >> (place & 7)
        if dropped[octet] & bit:
            continue
        if time.monotonic() > deadline:
            break
        containing = np.bitwise_and.reduce(bits[row], axis=0).view(np.uint8)
        containing[octet] &= 255 - bit
        dropped |= containing
    kept: NDArray[np.bool_] = rows[np.unpackbits(dropped, count=len(rows)) == 0]
    return kept


def _unbeaten(rows: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The zooms that no other replaces: none solves all that they do and more, none of a lower index the same."""
    bits = packed(rows)
    kept = []
    for zoom, solved in enumerate(bits):
        others = ~(solved & ~bits).any(axis=1)  # solve all that it does
        others[zoom:] &= (bits & ~solved).any(axis=1)[zoom:]  # and, after it, more
        if not others.any():
            kept.append(zoom)
    return np.array(kept, np.intp)


def _priced(rows: NDArray[np.bool_], cover: NDArray[np.intp]) -> int:
    """A lower bound from a greedy cover: each zoom's price of 1, shared among the rows it was the first to solve.

    Prices that add up to at most 1 over the rows of any one zoom add up to at most the size of any cover; these are
    lowered until they do. Method: dual fitting, after Chvátal 1979.
    """
    prices, left = np.zeros(len(rows)), np.ones(len(rows), bool)
    for zoom in cover:
        new = left & rows[:, zoom]
        prices[new] = 1 / new.sum()
        left &= ~new
    most = float((prices @ rows).max(initial=0.0))
    return math.ceil(prices.sum() / most - TOLERANCE) if most else 0


def _disjoint(rows: NDArray[np.bool_]) -> int:
    """A lower bound: a number of rows that share no zoom, each of which needs one of its own."""
    taken, found = np.zeros(rows.shape[1], bool), 0
    for row in rows[np.argsort(rows.sum(axis=1), kind="stable")]:
        if not (row & taken).any():
            taken |= row
            found += 1
    return found


def _solve(rows: NDArray[np.bool_], deadline: float) -> tuple[NDArray[np.intp] | None, int]:
    """The best cover the solver finds by then, if any, and the best lower bound it proves."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        return None, 0
    # By the system's one clock; a little earlier, so that a solver that keeps its limit can still answer.
    own = deadline - min(HEADSTART, seconds / 4)
    command = [sys.executable, "-P", str(SOLVER), str(own), *map(str, rows.shape)]
    output = b""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            output, _ = process.communicate(np.packbits(rows).tobytes(), seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        finally:
            process.kill()
    chosen, bound = None, 0
    for line in output.splitlines():
        with contextlib.suppress(ValueError):  # the last line of a process that was ended may be torn
            found = json.loads(line)
            bound = max(bound, found["bound"])
            if found["zooms"] is not None:
                chosen = np.array(found["zooms"], np.intp)
    return chosen, bound
