"""How a run keeps probabilities: two bytes each, close enough for means of them and of their logarithms.

A probability p is kept as the whole number nearest to 7000 √(−ln p), so that neither end is lost. p itself is off by
less than 1e-4. ln p is off by less than 0.0014, which changes no score of a geometric mean by more than 0.0007.
Float16 does worse at the same size: of probabilities it makes all below 3e-8 equal to 0, and logarithms near
ln 1e-12 = −27.6 it rounds to 1/64.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

STEPS = 7000
# Float32's least normal number, 1.2e-38, stands for all below, as it does in `tta/merge.py`; its code is 65418.
LEAST = round(STEPS * float(np.sqrt(-np.log(np.finfo(np.float32).smallest_normal))))
ABSENT = 65535


def encode_logs(logs: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The codes of natural-log probabilities of any shape; 65535 for -inf, an id that takes no part.

    >>> encode_logs(np.log([[1, 0.5, 1e-12]])).tolist(), encode_logs(np.array([-1000, -np.inf])).tolist()
    ([[0, 5828, 36796]], [65418, 65535])
    """
    codes = np.minimum(np.rint(STEPS * np.sqrt(-logs)), LEAST)
    return np.where(np.isneginf(logs), ABSENT, codes).astype(np.uint16)


@cache
def log_of_code() -> NDArray[np.float32]:
    """The natural-log probability of every code: float32 `[65536]`, -inf for an id that takes no part.

    >>> log_of_code()[[0, 5828, 36796]].round(2).astype(str).tolist()
    ['0.0', '-0.69', '-27.63']
    """
    logs = (0 - np.square(np.arange(ABSENT + 1) / STEPS)).astype(np.float32)
    logs[ABSENT] = -np.inf
    logs.flags.writeable = False
    return logs
