"""Data sets in Parquet files: a row group is read at a time, and only when its images are wanted."""
