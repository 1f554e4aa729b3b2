"""Set cover as an integer program: a script of its own, which `exact.py` starts and ends at its time limit.

`python solver.py DEADLINE ROWS COLUMNS < bits` reads a matrix, packed in C order, and prints a line of JSON whenever it
knows more: `zooms`, columns that cover all rows, or null, and `bound`, below which no cover is. The deadline is one of
`time.monotonic()`. It imports nothing of Snellen, to start quickly.
"""

import json
import math
import resource
import sys
import time

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array

# HiGHS's bounds are right within its tolerances, of 1e-6; covers have whole numbers of zooms.
TOLERANCE = 1e-4


def main() -> None:
    """Read the matrix, print the bound of linear programming, then the best cover and bound of integer programming."""
    deadline, rows, columns = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    seconds = max(0.0, deadline - time.monotonic())
    # Whoever started this may be gone; then nobody ends it.
    cpu = math.ceil(10 * seconds) + 60
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    bits = np.frombuffer(sys.stdin.buffer.read(), np.uint8)
    covers = csr_array(np.unpackbits(bits, count=rows * columns).reshape(rows, columns).astype(np.float64))
    tell(None, linear_bound(covers, seconds / 2))
    ones = np.ones(columns)
    found = milp(
        ones,
        integrality=ones,
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(covers, lb=1),
        options={"time_limit": max(0.0, deadline - time.monotonic())},
    )
    zooms = None if found.x is None else np.flatnonzero(found.x > 0.5).tolist()
    bound = found.mip_dual_bound if found.mip_dual_bound is not None else 0.0
    tell(zooms, math.ceil(bound - TOLERANCE) if math.isfinite(bound) else 0)


def linear_bound(covers: csr_array, seconds: float) -> int:
    """The lower bound of linear programming, proven by its dual.

    Weights of rows that add up to at most 1 in any column add up to at most the size of any cover.
    """
    rows, columns = covers.shape
    found = linprog(
        -np.ones(rows),
        A_ub=covers.T,
        b_ub=np.ones(columns),
        method="highs-ipm",  # several times as fast as the simplex method where there are many rows
        options={"time_limit": seconds},
    )
    if found.x is None:
        return 0
    weights = np.maximum(found.x, 0.0)
    most: NDArray[np.float64] = covers.T @ weights
    return math.ceil(float(weights.sum()) / max(1.0, float(most.max())) - TOLERANCE)


def tell(zooms: list[int] | None, bound: int) -> None:
    """Print what is known so far."""
    print(json.dumps({"zooms": zooms, "bound": bound}), flush=True)


if __name__ == "__main__":
    main()
