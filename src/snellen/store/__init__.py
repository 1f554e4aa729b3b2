"""Runs on disk: Parquet shards behind commit records, readable at any moment."""

from snellen.store.reader import Run, load_run

__all__ = ["Run", "load_run"]
