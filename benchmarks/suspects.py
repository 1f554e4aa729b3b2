"""Labels swapped among photographs: how many are found, and whether the score is the probability it says it is.

python benchmarks/suspects.py DATA --checkpoint FILE [--runs FOLDER] [--seeds 20] [--share 0.05]

Two models show every photograph at all zooms once; with --runs they are kept in FOLDER and used again. Then, for each
seed, some labels are swapped and the suspects are found anew, by nothing but these runs and labels. The threshold that
gives 95 % recall is that of the other seeds. A label is swapped for the label of another photograph (`random`), for any
other class (`any class`), or for one at most five places away in ImageNet's order, which follows WordNet's tree
(`similar`). The naive score is one less the mean probability that one model gives the label.
"""

import csv
import tempfile
from pathlib import Path

import numpy as np

import common
from snellen.analysis.calibration import calibration
from snellen.mining.suspects import DOUBTED, WEIGHTS, find_suspects
from snellen.mining.suspects_check import auroc
from snellen.mining.suspects_evidence import gather, views_of
from snellen.mining.suspects_features import features, opinion_of
from snellen.mining.suspects_fit import USUAL, Model
from snellen.store.find import find_runs

EMBEDDED = "embedded/efficientnet_lite0"
SWAPS = ("random", "any class", "similar")
RECALL = 0.95
NEAR = 5


def make_runs(data, checkpoint, folder):
    """The runs of both models; those that are there are only checked."""
    for model in (EMBEDDED, common.mobilenet(checkpoint)):
        common.study(data, model, folder, "--precision", "bf16")
    return [run for run in find_runs(folder) if len(run.grid) == common.ZOOMS]


def swapped(labels, how, share, rng):
    """Labels of which a share is wrong, and which."""
    wrong = np.zeros(len(labels), bool)
    wrong[rng.permutation(len(labels))[: round(share * len(labels))]] = True
    given = []
    for own, is_wrong in zip(labels, wrong, strict=True):
        while is_wrong:
            if how == "similar":
                other = own + int(rng.choice([k for k in range(-NEAR, NEAR + 1) if k]))
            else:
                other = int(rng.choice(labels) if how == "random" else rng.integers(1000))
            if other != own and 0 <= other < 1000:
                break
        given.append(other if is_wrong else own)
    return given, wrong


def scores(runs, given, seed, folder):
    """The score of each photograph under some labels, in the order of the runs, and the rate that is estimated."""
    ids, file = runs[0].image_ids, folder / "labels.csv"
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["image_id", "labels"])
        rows.writerows(zip(ids, (runs[0].class_space.keys[k] for k in given), strict=True))
    found = find_suspects(runs, file, seed=seed)
    by_id = dict(zip(found.table["image_id"].to_pylist(), found.table["score"].to_pylist(), strict=True))
    return np.array([by_id[name] for name in ids]), found.rate


def naive(run, labels):
    opinion = opinion_of(gather([(run, None)]))
    return lambda given: -opinion.mean_of(np.arange(len(labels)), np.array(given))


def threshold(score, wrong):
    """The highest score from which on `RECALL` of the wrong labels are found."""
    found = np.sort(score[wrong])[::-1]
    return found[int(np.ceil(RECALL * len(found))) - 1]


def apart(score, wrong):
    """Precision and recall, all seeds together, each with the threshold of the others; bool `[seeds, images]`."""
    places = range(len(score))
    others = [threshold(np.delete(score, k, 0).ravel(), np.delete(wrong, k, 0).ravel()) for k in places]
    return score >= np.array(others)[:, None]


def interval(hits, counts, rng):
    """The 95 % interval of a share, by a bootstrap over seeds."""
    drawn = rng.integers(len(hits), size=(2000, len(hits)))
    low, high = np.percentile(hits[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    return f"{100 * low:.1f} – {100 * high:.1f}"


def row(name, how, score, wrong, rate):
    rng = np.random.default_rng(0)
    found = apart(score, wrong)
    right = (found & wrong).sum(axis=1)
    values = [auroc(one, truth) for one, truth in zip(score, wrong, strict=True)]
    pooled = threshold(score.ravel(), wrong.ravel())
    cells = [name, how, f"{np.median(values):.4f}", f"{min(values):.4f}"]
    cells += [f"{100 * right.sum() / found.sum():.1f}", interval(right, found.sum(axis=1), rng)]
    cells += [f"{100 * right.sum() / wrong.sum():.1f}", f"{100 * wrong[score >= pooled].mean():.1f}"]
    return [*cells, "–" if rate is None else f"{100 * np.median(rate):.1f}"]


def measure(runs, labels, seeds, share, folder):
    each = {"both models": runs, "lite0": runs[:1]}
    one = naive(runs[0], labels)
    rows, kept = [], {}
    for how in SWAPS:
        drawn = [swapped(labels, how, share, np.random.default_rng([1, seed])) for seed in range(seeds)]
        wrong = np.array([truth for _, truth in drawn])
        for name, some in each.items():
            found = [scores(some, given, seed, folder) for seed, (given, _) in enumerate(drawn)]
            score, rate = np.array([a for a, _ in found]), [b for _, b in found]
            rows.append(row(name, how, score, wrong, rate))
            kept[name, how] = score, wrong
        rows.append(row("naive, lite0", how, np.array([one(given) for given, _ in drawn]), wrong, None))
    header = (
        "score of",
        "swapped for",
        "AUROC, median",
        "worst",
        "precision %",
        "95 %",
        "recall %",
        "pooled %",
        "rate %",
    )
    common.show(f"{len(labels)} photographs, {share:.0%} of the labels swapped, {seeds} seeds", header, rows)
    return kept


def among_hard(runs, labels, seeds, share):
    """What `WEIGHTS` say of the images that no view reads, which is what mining leaves. They saw these photographs."""
    gathered = gather([(run, None) for run in runs])
    opinion, images, rows = opinion_of(gathered), np.arange(len(labels)), []
    for how in SWAPS:
        score, truth, apart_by, counts = [], [], [], []
        for seed in range(seeds):
            given, wrong = swapped(labels, how, share, np.random.default_rng([1, seed]))
            own = np.array(given)[:, None]
            hard = np.sum([views_of(judge, gathered.classes, own)[:, 0] for judge in gathered.judges], axis=0) == 0
            found = Model(WEIGHTS[None], USUAL).score(features(opinion, images, [(k,) for k in given]), images)[hard]
            apart_by.append(auroc(found, wrong[hard]))
            counts.append(hard.sum())
            score.append(found)
            truth.append(wrong[hard])
        found, wrong = np.concatenate(score) >= DOUBTED, np.concatenate(truth)
        cells = f"{np.mean(counts):.1f}", f"{wrong.sum() / seeds:.1f}", f"{np.median(apart_by):.4f}"
        rows.append((how, *cells, f"{100 * found[wrong].mean():.1f}", f"{100 * wrong[found].mean():.1f}"))
    header = ("swapped for", "hard", "of them swapped", "AUROC, median", "found %", "precision %")
    common.show(f"hard images, weights that are not learned from the runs, score of {DOUBTED} or more", header, rows)


def main():
    parser = common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, help="where the runs are kept")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--share", type=float, default=0.05, help="of the labels that are swapped")
    options = parser.parse_args()
    with common.kept(options.runs) as folder, tempfile.TemporaryDirectory(prefix="snellen-bench-") as scratch:
        runs = make_runs(options.data, options.checkpoint, folder)
        labels = [row[0] for row in runs[0].labels()]
        kept = measure(runs, labels, options.seeds, options.share, Path(scratch))
        among_hard(runs, labels, options.seeds, options.share)
        for how in SWAPS:
            score, wrong = kept["both models", how]
            found = calibration(score.ravel().astype(np.float32), wrong.ravel())
            bins = [
                (f"{b.low:.2f} – {b.high:.2f}", b.n, f"{b.confidence:.3f}", f"{b.accuracy:.3f}") for b in found.bins
            ]
            common.show(
                f"{how}: calibration error {100 * found.ece:.2f} points", ("score", "n", "mean", "swapped"), bins
            )
        as_they_are = find_suspects(runs)
        names = as_they_are.space.names
        top = [
            (
                f"{one['score']:.3f}",
                one["kind"] or "",
                one["image_id"],
                names[one["labels"][0]],
                ", ".join(names[k] for k in one["proposed"]),
                f"{100 * (one['share'] or 0):.0f}",
            )
            for one in as_they_are.table.to_pylist()
            if one["kind"] or (one["score"] or 0) > 0.01
        ]
        common.show("the labels as they are", ("score", "kind", "image", "label", "rather", "share %"), top)
        weights = ", ".join(f"{weight:.2f}" for weight in as_they_are.weights)
        print(f"\nrate {as_they_are.rate:.2%}; weights {weights}; check {as_they_are.check.to_json()}")


if __name__ == "__main__":
    main()
