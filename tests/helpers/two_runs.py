"""Made-up runs of the same images by the same labels, for what compares runs."""

import json
import shutil

import numpy as np

from snellen.zoom import PAPER_GRID


def rename(path, model, **parts):
    """Give a made-up run another model's spec, and other parts of run.json: `precision`, or a data set's name."""
    record = json.loads((path / "run.json").read_text())
    record["model"] |= {"spec": model, "precision": parts.get("precision", "fp32")}
    record["data"] |= {"spec": parts.get("data", "made-up-data")}
    (path / "run.json").write_text(json.dumps(record))


def runs_of(make_run, folder, count=2, images=30, *, same_labels=True, **options):
    """Truths of several made-up models, `kind/model-0` and so on, on the same images with the same labels.

    options: of `make_run`; a list gives each run its own. Models after the first read some of what it reads, and some
    of what it does not, unless `best` says what they answer.
    """
    truths = []
    for k in range(count):
        own = {name: value[k] if isinstance(value, list) else value for name, value in options.items()}
        path = folder / f"out-{k}" / "made-up" / f"model-{k}" / "paper-fp32"
        if k and same_labels and "best" not in own:
            own["best"] = _answers(truths[0], images, len(own.get("grid", PAPER_GRID)), np.random.default_rng(k))
        truths.append(make_run(images, path=path, seed=k, **own))
        rename(path, f"kind/model-{k}")
        if k and same_labels:
            shutil.copy(truths[0].path / "labels.csv", path / "labels.csv")
    return truths


def _answers(truth, images, zooms, rng):
    """Right at each zoom by chance, more often where the first model is; of an image that it did not read, class 0."""
    best = np.zeros((images, zooms), np.int32)
    ease = right(truth, truth.labels).mean(axis=1) * rng.choice([0, 1, 1.5], len(truth.images))
    for image, accepted, chance in zip(truth.images, truth.labels, ease, strict=True):
        hits = rng.random(zooms) < chance
        best[image] = np.where(hits, accepted[0], (max(accepted) + 1) % len(truth.space))
    return best


def right(truth, labels):
    """Whether each answer is right, by the labels of each image: bool `[images, zooms]`."""
    rows = [[int(answer) in accepted for answer in row] for row, accepted in zip(truth.ids, labels, strict=True)]
    return np.array(rows, bool).reshape(len(truth.ids), len(truth.grid))
