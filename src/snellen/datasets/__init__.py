"""Data sets: images with ids. Their labels cost nothing and are joined when a run is read."""

from snellen.datasets.base import DataSet, Item
from snellen.datasets.spec import expand_data, label_source, open_dataset

__all__ = ["DataSet", "Item", "expand_data", "label_source", "open_dataset"]
