"""What a learned order and stopping rule save: three disjoint fits of 100 images, each tested on all others, pooled.

python benchmarks/anytime.py DATA --checkpoint FILE [--limit 300] [--out DIR]

How many views are learned was chosen on mobilenetv2_100, on these photographs and on their shifted copy; the form of
the rule and its error rate on that network and efficientnet_lite0. The other two had no part in any of it, though the
photographs are the same. All in bf16. With `--out` the studies are kept, and the same command goes on.
"""

from functools import cached_property
from pathlib import Path

import numpy as np

import common
from shifted import copy_shifted
from snellen.analysis.bootstrap import percentiles, resample
from snellen.analysis.methods import read_answered
from snellen.labels import correct_by_labels
from snellen.store import Run
from snellen.store.find import find_runs
from snellen.tta.fit import VIEWS, fit
from snellen.tta.from_run import merged_from_run
from snellen.tta.from_study import anytime_from_run
from snellen.tta.merge import Merge
from snellen.tta.methods import parse_methods
from snellen.tta.run import tta
from snellen.tta.views import view_set

FITS = 3
# Views of the mean that everything is compared with: as many as the study has scales.
MEAN = 36
# Which views are learned and how many, and how the table calls them. The first is what `snellen fit` does.
LEARNED = ((None, VIEWS), (None, MEAN), ("paper:centre", VIEWS))
# What is counted of each test image and fit: columns of `tested`.
FORWARDS, OTHERWISE, ANYTIME, WHOLE, MEANS, CENTER = range(6)
HEADER = (
    *("model, images", "views", "forwards [95 %]", f"of {MEAN}", "answers otherwise % [95 %]", "anytime % [95 %]"),
    *("all its views %", f"mean of {MEAN} %", "center %", f"anytime − mean of {MEAN} [95 %]", "gain kept [95 %]"),
)
# Of a smaller gain than three points, how much of it is kept would be noise.
GAIN = 0.03


class Held(Run):
    """A run whose probabilities are read once."""

    @cached_property
    def _held(self):
        return list(super()._kept(None))

    def _kept(self, zooms):
        return ((rows, codes if zooms is None else codes[:, zooms]) for rows, codes in self._held)


def tested(run, center, views, count, learned_on):
    """Sums over the fits that have not seen an image: whole numbers `[images, 6]`.

    Every image is tested by two fits of three, so a row has two answers of one image: resampling rows keeps them
    together, and the answers of all methods to one image as well.
    """
    scored, labels = run.scored(), run.labels()
    wanted = [labels[row] for row in scored]
    names = np.array([Path(run.image_ids[row]).stem for row in scored])
    among = view_set(views, run.grid.size) if views else None
    sums = np.zeros((len(scored), 6), np.int64)
    for learned in np.array_split(np.random.default_rng(0).permutation(sorted(names)), FITS):
        seen = set(learned.tolist())
        images = [image for image in learned_on.image_ids if Path(image).stem in seen]
        policy, many = (fit([learned_on], among=among, views=k, images=images) for k in (count, MEAN))
        method = parse_methods(["anytime"], policy, run.grid.size)[0]
        whole, means = (merged_from_run(run, p.rules, Merge("mean"))[0][scored, 0] for p in (policy, many))
        ids, forwards = (column[scored] for column in anytime_from_run(run, method))
        answers = (ids, whole, means, center[scored])
        right = [correct_by_labels(ids, wanted, len(run.class_space)) for ids in answers]
        sums += np.stack([forwards, ids != whole, *right], axis=1) * ~np.isin(names, learned)[:, None]
    return sums


def measure(run, center, name, views=None, count=VIEWS, learned_on=None):
    """One line. Intervals: a bootstrap over the images.

    learned_on: the run of the fits, of the same photographs in other files, where it is not the one that is tested.
    """
    drawn = resample(tested(run, center, views, count, learned_on or run))
    each = np.eye(6) / (FITS - 1)  # the mean of a column over the answers, not its sum

    def told(column, scale, digits):
        found = drawn.estimate(each[column])
        return f"{scale * found.value:.{digits}f} [{scale * found.low:.{digits}f}, {scale * found.high:.{digits}f}]"

    loss = drawn.difference(each[ANYTIME], each[MEANS])
    gains = [drawn.difference(each[column], each[CENTER]).value for column in (ANYTIME, MEANS)]
    kept = "–"
    if gains[1] >= GAIN:
        draws = (drawn.sums[:, [ANYTIME, MEANS]] - drawn.sums[:, [CENTER]]).astype(float)
        with np.errstate(divide="ignore"):  # a resample in which the mean gains nothing: all of it is kept, and more
            low, high = percentiles(draws[:, 0] / draws[:, 1])
        kept = f"{gains[0] / gains[1]:.0%} [{low:.0%}, {high:.0%}]"
    value = [drawn.estimate(weights).value for weights in each]
    shares = [f"{100 * value[column]:.1f}" for column in (WHOLE, MEANS, CENTER)]
    return (
        *(name, f"{count} of {views}" if views else f"{count}", told(FORWARDS, 1, 1), f"{value[FORWARDS] / MEAN:.0%}"),
        *(told(OTHERWISE, 100, 1), told(ANYTIME, 100, 1), *shares),
        f"{100 * loss.value:+.1f} [{100 * loss.low:+.1f}, {100 * loss.high:+.1f}]",
        kept,
    )


def studied(name, model, kind, data, folder):
    """The run of a study, made where it is not there; and what `center` answers to its images, int32 `[images]`."""
    out = folder / "studies" / name / kind
    common.study(data, model, out, "--keep-probs", "--precision", "bf16")
    (run,) = find_runs(out)
    methods = tta(model, data, ("center",), out=folder / "center" / name / kind, precision="bf16")
    assert np.array_equal(methods.images, run.images)
    return Held(run.path, run.record), read_answered(methods)["center"].ids


def main():
    parser = common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=300, help="images; a third of them for each fit")
    parser.add_argument("--out", type=Path, help="where the shifted copies and the studies are kept")
    options = parser.parse_args()
    chosen_on = {
        "mobilenetv2_100": common.mobilenet(options.checkpoint),
        "efficientnet_lite0": "embedded/efficientnet_lite0",
    }
    others = {f"efficientnet_lite{k}": f"embedded/efficientnet_lite{k}" for k in (1, 2)}
    with common.kept(options.out) as folder:
        plain = common.spread(options.data, options.limit, folder / f"photographs-{options.limit}")
        copies = {
            "photographs": plain,
            "shifted": copy_shifted(str(plain), folder / f"shifted-{options.limit}"),
        }
        parts = (
            ("Networks that had no part in the choice of the rule", others),
            ("Networks that the rule was chosen on", chosen_on),
        )
        for title, models in parts:
            rows = []
            for name, model in models.items():
                runs = {kind: studied(name, model, kind, data, folder) for kind, data in copies.items()}
                for kind, found in runs.items():
                    rows += [measure(*found, f"{name}, {kind}", *learned) for learned in LEARNED]
                fits = runs["photographs"][0]
                rows.append(measure(*runs["shifted"], f"{name}, shifted, fits of photographs", learned_on=fits))
            common.show(f"{title}. Anytime at the default error rate", HEADER, rows)


if __name__ == "__main__":
    main()
