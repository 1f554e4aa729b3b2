"""Snellen: an eye test for image classifiers."""

from snellen.evaluate import Evaluation, evaluate
from snellen.score import score
from snellen.store import load_run
from snellen.study import study
from snellen.zoom import PAPER_GRID, Zoom

__version__ = "0.1.0"
__all__ = ["PAPER_GRID", "Evaluation", "Zoom", "evaluate", "load_run", "score", "study"]
