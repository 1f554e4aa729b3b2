"""Labels that make a data set worth mining, and what a cascade left, told from its rows alone."""

from pathlib import Path

import numpy as np

from snellen.store.commits import damaged_files, read_commits
from snellen.store.labels import encode_labels
from snellen.store.mined import mined_rows, mined_samples, pass_folder, passes


def hard(run, labels=None) -> set[str]:
    """Ids of the images that were shown every zoom and are right at none.

    labels: the label set of each image by id; that of its folder's class where None.
    """
    samples = mined_samples(run)
    names = dict(zip(samples["image"].to_pylist(), samples["image_id"].to_pylist(), strict=True))
    find = run.class_space.find
    right = {image: labels[name] if labels else [find(name.split("/")[0])] for image, name in names.items()}
    shown, read = {}, set()
    for row in mined_rows(run, ["id0"]).to_pylist():
        shown.setdefault(row["image"], set()).add(row["zoom"])
        if row["id0"] in right[row["image"]]:
            read.add(row["image"])
    return {names[image] for image, zooms in shown.items() if len(zooms) == len(run.grid) and image not in read}


def whole_parts(run) -> None:
    """AssertionError unless every commit record of every pass is whole, and so are the files it names."""
    for number in passes(run.path):
        folder = pass_folder(run.path, number)
        records = read_commits(folder)
        assert len(records) == len(list((folder / "commits").glob("*.json"))), "a commit record is not whole"
        assert not [name for record in records.values() for name in damaged_files(folder, record)]


def foreign_rows(run, study) -> int:
    """How many of the rows of views that were shown are no row of the study, to the bit, or are there twice."""
    known = {tuple(row.items()) for row in study.frame().to_pylist()}
    rows = [tuple(row.items()) for row in mined_rows(run).to_pylist()]
    return len(rows) - len(known & set(rows))


def mixed_labels(study, csv: Path) -> dict[str, list[int]]:
    """A label set for each image of a study, also as a CSV: every third is hard, the others are right somewhere."""
    answers, rng = study.answers(), np.random.default_rng(0)
    never = np.setdiff1d(np.arange(len(study.class_space)), answers)
    sets = {name: [int(never[k] if k % 3 == 0 else rng.choice(answers[k]))] for k, name in enumerate(study.image_ids)}
    csv.write_bytes(encode_labels(list(sets), list(sets.values()), study.class_space))
    return sets
