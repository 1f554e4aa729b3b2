"""Answers of a generative model that mean no class."""

from snellen.store.reader import Run


def unmatched(run: Run) -> tuple[int, list[tuple[str, str]]]:
    """How many answers of a run were matched to no class, and each with its image's id, in the order of images.

    A run of a classifier with logits has none.
    """
    rows = run.table("answers").to_pylist()
    ids = dict(zip(run.images.tolist(), run.image_ids, strict=True))
    found = [(ids[row["image"]], row["answer"]) for row in rows if row["matched"] is None]
    return len(found), found
