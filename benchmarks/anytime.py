"""What a learned order and stopping rule save: three disjoint fits of 100 images, each tested on all others, pooled.

python benchmarks/anytime.py DATA --checkpoint FILE [--limit 300] [--out DIR]

The form of the rule and its default error rate were chosen on the first two networks, on photographs and their shifted
copy; the others had no part in that. All in bf16. With `--out` the studies are kept, and the same command goes on.
"""

from pathlib import Path

import numpy as np

import common
from shifted import copy_shifted
from snellen.analysis.accuracy import share
from snellen.labels import correct_by_labels
from snellen.store.find import find_runs
from snellen.tta.fit import fit
from snellen.tta.from_run import merged_from_run
from snellen.tta.from_study import anytime_from_run
from snellen.tta.merge import Merge
from snellen.tta.methods import parse_methods
from snellen.tta.views import view_set
from snellen.zoom.grid import Grid

FITS = 3
HEADER = (
    *("model, images", "views", "forwards", "of all", "other answer %", "anytime %", "all views %"),
    *("1-crop %", "loss", "gain kept", "n"),
)


def measure(run, name, views, learned_on=None):
    """One line: pooled over the fits, every test image as often as a fit has not seen it.

    learned_on: the run of the fits, of the same photographs in other files, where it is not the one that is tested.
    """
    source = learned_on or run
    scored, labels = run.scored(), run.labels()
    wanted = [labels[row] for row in scored]
    names = np.array([Path(run.image_ids[row]).stem for row in scored])
    rules = Grid(views, view_set(views, run.grid.size).rules) if views else None
    crop = merged_from_run(run, view_set("1crop", run.grid.size).rules, Merge("mean"))[0][scored, 0]
    columns = []
    for learned in np.array_split(np.random.default_rng(0).permutation(sorted(names)), FITS):
        seen = set(learned.tolist())
        policy = fit([source], rules=rules, images=[image for image in source.image_ids if Path(image).stem in seen])
        method = parse_methods(["anytime"], policy, run.grid.size)[0]
        whole = merged_from_run(run, policy.rules, Merge("mean"))[0][scored, 0]
        ids, forwards = (column[scored] for column in anytime_from_run(run, method))
        right = [
            correct_by_labels(answers.astype(np.int32), wanted, len(run.class_space)) for answers in (ids, whole, crop)
        ]
        columns.append(np.stack([forwards, ids != whole, *right])[:, ~np.isin(names, learned)])
    forwards, other, anytime, whole, crop = np.concatenate(columns, axis=1)
    gain = whole.mean() - crop.mean()
    kept = f"{(anytime.mean() - crop.mean()) / gain:.0%}" if gain >= 0.03 else "–"
    shares = [str(share(column.astype(bool))).split(" (n")[0] for column in (anytime, whole, crop)]
    loss = f"{100 * (whole.mean() - anytime.mean()):+.2f}"
    part = f"{forwards.mean() / len(policy):.1%}"
    rate = f"{100 * other.mean():.2f}"
    return (name, views or "36 learned", f"{forwards.mean():.2f}", part, rate, *shares, loss, kept, len(forwards))


def studied(name, model, kind, data, folder):
    """The run of a study, made where it is not there."""
    out = folder / "studies" / name / kind
    common.study(data, model, out, "--keep-probs", "--precision", "bf16")
    (run,) = find_runs(out)
    return run


def main():
    parser = common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=300, help="images; a third of them for each fit")
    parser.add_argument("--out", type=Path, help="where the shifted copies and the studies are kept")
    options = parser.parse_args()
    chosen_on = {
        "efficientnet_lite0": "embedded/efficientnet_lite0",
        "mobilenetv2_100": common.mobilenet(options.checkpoint),
    }
    others = {f"efficientnet_lite{k}": f"embedded/efficientnet_lite{k}" for k in (1, 2)}
    with common.kept(options.out) as folder:
        plain = common.spread(options.data, options.limit, folder / f"photographs-{options.limit}")
        copies = {
            "photographs": plain,
            "shifted": copy_shifted(str(plain), folder / f"shifted-{options.limit}"),
        }
        for title, models in (("Networks it was chosen on", chosen_on), ("Networks it was not chosen on", others)):
            rows = []
            for name, model in models.items():
                runs = {kind: studied(name, model, kind, data, folder) for kind, data in copies.items()}
                rows += [
                    measure(run, f"{name}, {kind}", v) for kind, run in runs.items() for v in (None, "paper:centre")
                ]
                rows.append(
                    measure(runs["shifted"], f"{name}, shifted, fits of photographs", None, runs["photographs"])
                )
            common.show(f"Anytime against the mean of all its views, error rate 8 %. {title}", HEADER, rows)


if __name__ == "__main__":
    main()
