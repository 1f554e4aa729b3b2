"""Framings: which windows of which resized image a classifier is shown, and their pixels."""

from snellen.zoom.grid import PAPER_GRID, SCALES, Grid, ViewRule, Zoom, paper_grid

__all__ = ["PAPER_GRID", "SCALES", "Grid", "ViewRule", "Zoom", "paper_grid"]
