"""What a learned order and stopping rule save: three disjoint fits of 100 images, each tested on all others, pooled.

python benchmarks/anytime.py RUN [RUN …], each a study made with --keep-probs (or a folder above several).
The shifted copy of a folder of photographs is made by benchmarks/shifted.py.
"""

import argparse
from pathlib import Path

import numpy as np

import common
from snellen.analysis.accuracy import share
from snellen.labels import correct_by_labels
from snellen.store.reader import find_runs
from snellen.tta.fit import fit
from snellen.tta.from_run import merged_from_run
from snellen.tta.from_study import anytime_from_run
from snellen.tta.merge import Merge
from snellen.tta.methods import parse_methods
from snellen.tta.views import view_set
from snellen.zoom.grid import Grid

FITS, SIZE = 3, 100
HEADER = (
    *("model, data", "views", "forwards", "of all", "other answer %", "anytime %", "all views %"),
    *("1-crop %", "loss", "gain kept", "n"),
)


def measure(run, views):
    """One line: pooled over the fits, every test image as often as a fit has not seen it."""
    scored = run.scored()
    labels = run.labels()
    wanted = [labels[row] for row in scored]
    order = np.random.default_rng(0).permutation(len(scored))
    rules = Grid(views, view_set(views, run.grid.size).rules) if views else None
    crop = merged_from_run(run, view_set("1crop", run.grid.size).rules, Merge("mean"))[0][scored, 0]
    columns = []
    for k in range(FITS):
        learned = order[k * SIZE : (k + 1) * SIZE]
        policy = fit([run], rules=rules, images=[run.image_ids[row] for row in scored[learned]])
        method = parse_methods(["anytime"], policy, run.grid.size)[0]
        whole = merged_from_run(run, policy.rules, Merge("mean"))[0][scored, 0]
        ids, forwards = (column[scored] for column in anytime_from_run(run, method))
        right = [
            correct_by_labels(answers.astype(np.int32), wanted, len(run.class_space)) for answers in (ids, whole, crop)
        ]
        test = np.setdiff1d(order, learned)
        columns.append(np.stack([forwards, ids != whole, *right])[:, test])
    forwards, other, anytime, whole, crop = np.concatenate(columns, axis=1)
    gain = whole.mean() - crop.mean()
    kept = f"{(anytime.mean() - crop.mean()) / gain:.0%}" if gain >= 0.03 else "–"
    shares = [str(share(column.astype(bool))).split(" (n")[0] for column in (anytime, whole, crop)]
    name = f"{run.model.split('@')[0]}, {Path(run.data).name}"
    loss = f"{100 * (whole.mean() - anytime.mean()):+.2f}"
    part = f"{forwards.mean() / len(policy):.1%}"
    rate = f"{100 * other.mean():.2f}"
    return (name, views or "36 learned", f"{forwards.mean():.2f}", part, rate, *shares, loss, kept, len(forwards))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    found = [run for path in parser.parse_args().runs for run in find_runs(path) if run.keeps_probs]
    rows = [measure(run, views) for run in found for views in (None, "paper:centre")]
    common.show("Anytime against the mean of all its views (error rate 8 %)", HEADER, rows)


if __name__ == "__main__":
    main()
