"""Runs on disk: Parquet shards behind commit records, readable at any moment."""

from snellen.store.find import load_run
from snellen.store.reader import Run

__all__ = ["Run", "load_run"]
