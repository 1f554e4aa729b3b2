"""Snellen: an eye test for image classifiers."""

from typing import TYPE_CHECKING, Any

from snellen.evaluate import Evaluation, evaluate
from snellen.score import score
from snellen.show import show
from snellen.store import load_run
from snellen.study import study
from snellen.zoom import PAPER_GRID, Zoom

if TYPE_CHECKING:
    from snellen.tta.module import ZoomTTA

__version__ = "0.1.0"
__all__ = ["PAPER_GRID", "Evaluation", "Zoom", "ZoomTTA", "evaluate", "load_run", "score", "show", "study"]


def __getattr__(name: str) -> Any:
    """Import torch only for who asks for `ZoomTTA`."""
    if name == "ZoomTTA":
        from snellen.tta.module import ZoomTTA

        return ZoomTTA
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
