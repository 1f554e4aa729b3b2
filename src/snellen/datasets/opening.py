"""How the data set at hand is being opened: what a worker knows of it beforehand, and whether it may copy files here.

A data set may be made of another, several calls down; these two settings hold for all that one call of `open_dataset`
opens, and for nothing else.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Opening:
    """planned: the fingerprint that the data set is to have, if it is known.

    stream: whether files of the Hub are read by ranges and not kept, as the many nodes of a cluster should.
    """

    planned: str | None = None
    stream: bool = False


_opening: ContextVar[Opening | None] = ContextVar("_opening", default=None)


def current_opening() -> Opening:
    """What holds for the data set that is being opened."""
    return _opening.get() or Opening()


@contextlib.contextmanager
def opening(planned: str | None, stream: bool) -> Iterator[None]:
    """Open data sets so while the block runs."""
    token = _opening.set(Opening(planned, stream))
    try:
        yield
    finally:
        _opening.reset(token)
