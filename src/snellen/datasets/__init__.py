"""Data sets: images with ids. Their labels cost nothing and are joined when a run is read."""

from snellen.datasets.base import DataSet, Item, open_dataset

__all__ = ["DataSet", "Item", "open_dataset"]
