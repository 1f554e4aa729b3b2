"""Which images something was learned from, told by what is in their files and not by where they lie."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from snellen.errors import UsageError
from snellen.store import Run

# Hex digits of an image's sha256 that are kept, 48 bits: a million images and a million others would share one by
# chance once in 280 times.
DIGITS = 12


def image_keys(run: Run) -> list[str]:
    """The last digits of each image's sha256, in the order of the rows of `answers`.

    Raises UsageError where a run lacks one, which no command leaves out.
    """
    hashes = run.samples.filter(pc.is_null(run.samples["error"]))["sha256"].to_pylist()
    if None in hashes:
        raise UsageError(f"{str(run.path)!r} is damaged: it has images without a sha256; make the run again")
    return [digest[-DIGITS:] for digest in hashes]


def joined(keys: Iterable[str]) -> str:
    """Keys as one text, each once, as policies and runs keep them.

    >>> joined(["b", "a", "b"])
    'a b'
    """
    return " ".join(sorted(set(keys)))


def count_learned(run: Run, rows: NDArray[np.intp], learned_from: Sequence[str]) -> list[int]:
    """For each of some texts of `joined`: how many images of the given rows of a run are among them."""
    if not any(learned_from):
        return [0] * len(learned_from)
    keys = np.array(image_keys(run))[rows]
    return [int(np.isin(keys, text.split()).sum()) for text in learned_from]
