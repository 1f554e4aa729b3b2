"""Labels swapped among photographs: how many are found, and whether the score is the probability it says it is.

python benchmarks/suspects.py DATA --checkpoint FILE [--runs FOLDER] [--seeds 20] [--share 0.05]

Two models show every photograph at all zooms once; with --runs they are kept in FOLDER and used again. Then, for each
seed, some labels are swapped and the suspects are found anew, by nothing but these runs and labels. The photographs are
split into two halves: those of one are judged with starting weights that were learned from the other, and by the
threshold that gives 95 % recall in the other, with other seeds; the same scores also by one threshold that gives 95 %
recall over all seeds and photographs, those that it is tested on. Intervals are of a bootstrap over photographs. A
label is swapped for the label of another photograph (`random`), for any other class (`any class`), or for one at most
five places away in ImageNet's order, which follows WordNet's tree (`similar`). The naive score is one less the mean
probability that one model gives the label.
"""

import csv
import tempfile
from pathlib import Path

import numpy as np

import common
from snellen.analysis.calibration import calibration
from snellen.mining.suspects.check import auroc, how_found
from snellen.mining.suspects.evidence import gather, views_of
from snellen.mining.suspects.features import features, opinion_of
from snellen.mining.suspects.fit import USUAL, Model
from snellen.mining.suspects.suspects import DOUBTED, find_suspects
from snellen.store.find import find_runs

EMBEDDED = "embedded/efficientnet_lite0"
SWAPS = ("random", "any class", "similar")
RECALL = 0.95
NEAR = 5
NO_WEIGHTS = (0.0, 0.0, 0.0)


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


def halves(images):
    """Which half each photograph is in: 0 or 1."""
    return np.random.default_rng(0).permutation(images) % 2


def write_labels(run, given, folder):
    """A file of labels, as `find_suspects` takes it; a photograph with None has no label."""
    file, keys = folder / "labels.csv", run.class_space.keys
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["image_id", "labels"])
        rows.writerows((name, "" if k is None else keys[k]) for name, k in zip(run.image_ids, given, strict=True))
    return file


def weights_of_others(runs, labels, half, folder):
    """For each half the weights that are learned from the other, by its own labels and from nothing."""
    return [
        find_suspects(
            runs,
            write_labels(runs[0], [k if at != own else None for k, at in zip(labels, half, strict=True)], folder),
            start=NO_WEIGHTS,
        ).weights
        for own in (0, 1)
    ]


def scores(runs, given, seed, half, starts, folder):
    """The score of each photograph under some labels, in the order of the runs, and the rate that is estimated."""
    file, ids = write_labels(runs[0], given, folder), runs[0].image_ids
    score, rates = np.zeros(len(ids)), []
    for own, start in enumerate(starts):
        found = find_suspects(runs, file, seed=seed, start=start)
        by_id = dict(zip(found.table["image_id"].to_pylist(), found.table["score"].to_pylist(), strict=True))
        score[half == own] = [by_id[name] for name, at in zip(ids, half, strict=True) if at == own]
        rates.append(found.rate)
    return score, np.mean(rates)


def naive(run, labels):
    opinion = opinion_of(gather([(run, None)]))
    return lambda given: -opinion.mean_of(np.arange(len(labels)), np.array(given))


def threshold(score, wrong):
    """The highest score from which on `RECALL` of the wrong labels are found."""
    found = np.sort(score[wrong])[::-1]
    return found[int(np.ceil(RECALL * len(found))) - 1]


def apart(score, wrong, half):
    """What is found in each half with the threshold of the other half and the other seeds: bool `[seeds, images]`."""
    found = np.zeros_like(wrong)
    for seed in range(len(score)):
        others = np.arange(len(score)) != seed
        for own in (0, 1):
            elsewhere = np.ix_(others, half != own)
            found[seed, half == own] = score[seed, half == own] >= threshold(score[elsewhere], wrong[elsewhere])
    return found


def percent(estimate):
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f} – {100 * estimate.high:.1f})"


def row(name, how, score, wrong, half, rate):
    found = how_found(score, wrong, apart(score, wrong, half), np.random.default_rng(0))
    worst = min(auroc(one, truth) for one, truth in zip(score, wrong, strict=True))
    area = f"{found.auroc.value:.4f} ({found.auroc.low:.4f} – {found.auroc.high:.4f})"
    pooled = how_found(score, wrong, score >= threshold(score, wrong), np.random.default_rng(0))
    rates = "–" if rate is None else f"{100 * np.median(rate):.1f}"
    shares = percent(found.precision), percent(found.recall), percent(pooled.precision)
    return name, how, area, f"{worst:.4f}", *shares, rates


def measure(by_models, labels, half, starts, options, folder):
    """What is found, for each way of swapping and each score; returns the score of each way, and what was swapped."""
    one = naive(by_models["lite0"][0], labels)
    rows, kept = [], {}
    for how in SWAPS:
        drawn = [swapped(labels, how, options.share, np.random.default_rng([1, seed])) for seed in range(options.seeds)]
        wrong = np.array([truth for _, truth in drawn])
        for name, some in by_models.items():
            found = [scores(some, given, k, half, starts[name], folder) for k, (given, _) in enumerate(drawn)]
            score, rate = np.array([a for a, _ in found]), [b for _, b in found]
            rows.append(row(name, how, score, wrong, half, rate))
            kept[name, how] = score, wrong
        rows.append(row("naive, lite0", how, np.array([one(given) for given, _ in drawn]), wrong, half, None))
    header = (
        "score of",
        "swapped for",
        "AUROC, median (95 %)",
        "worst",
        "precision % (95 %)",
        "recall % (95 %)",
        f"precision % at a recall of {RECALL:.0%} (95 %)",
        "rate %",
    )
    title = f"{len(labels)} photographs, {options.share:.0%} of the labels swapped, {options.seeds} seeds"
    common.show(title, header, rows)
    return kept


def among_hard(runs, labels, half, starts, options):
    """What weights of the other half say of the images that no view reads, which is what mining leaves."""
    gathered = gather([(run, None) for run in runs])
    opinion, images, rows = opinion_of(gathered), np.arange(len(labels)), []
    model = Model(np.array(starts), USUAL)
    for how in SWAPS:
        score, truth, apart_by, counts = [], [], [], []
        for seed in range(options.seeds):
            given, wrong = swapped(labels, how, options.share, np.random.default_rng([1, seed]))
            own = np.array(given)[:, None]
            hard = np.sum([views_of(judge, gathered.classes, own)[:, 0] for judge in gathered.judges], axis=0) == 0
            found = model.score(features(opinion, images, [(k,) for k in given]), half)[hard]
            apart_by.append(auroc(found, wrong[hard]))
            counts.append(hard.sum())
            score.append(found)
            truth.append(wrong[hard])
        found, wrong = np.concatenate(score) >= DOUBTED, np.concatenate(truth)
        cells = f"{np.mean(counts):.1f}", f"{wrong.sum() / options.seeds:.1f}", f"{np.median(apart_by):.4f}"
        rows.append((how, *cells, f"{100 * found[wrong].mean():.1f}", f"{100 * wrong[found].mean():.1f}"))
    header = ("swapped for", "hard", "of them swapped", "AUROC, median", "found %", "precision %")
    common.show(f"hard images, weights of the other half, score of {DOUBTED} or more", header, rows)


def main():
    parser = common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, help="where the runs are kept")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--share", type=float, default=0.05, help="of the labels that are swapped")
    options = parser.parse_args()
    with common.kept(options.runs) as folder, tempfile.TemporaryDirectory(prefix="snellen-bench-") as scratch:
        runs = make_runs(options.data, options.checkpoint, folder)
        labels = [row[0] for row in runs[0].labels()]
        half, by_models = halves(len(labels)), {"both models": runs, "lite0": runs[:1]}
        starts = {name: weights_of_others(some, labels, half, Path(scratch)) for name, some in by_models.items()}
        kept = measure(by_models, labels, half, starts, options, Path(scratch))
        among_hard(runs, labels, half, starts["both models"], options)
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
        check = as_they_are.check
        print(f"\nrate {as_they_are.rate:.2%}; check {check.found}, promised {check.promised:.4f}")
        from_nothing = find_suspects(runs, start=NO_WEIGHTS).weights
        for name, weights in {**starts, "both models, all photographs": [from_nothing]}.items():
            rows = ["weights " + ", ".join(f"{weight:.2f}" for weight in some) for some in weights]
            print(f"{name}: {'; '.join(rows)}")


if __name__ == "__main__":
    main()
