"""Time and memory of the analyses: six made-up studies of ImageNet's size, from Parquet to every number.

python benchmarks/analysis.py [--images 50000] [--rounds 5] [--runs FOLDER]

The studies are written first, which takes two minutes and 3 GB of disk; with --runs they are kept in FOLDER and used
again. Every measurement is a process of its own; the files are in the page cache.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import common
from made_up import ZOOMS, write_study
from snellen.analysis.accuracy import oracle_curve, per_zoom, upper_bound
from snellen.analysis.answers import read_answers, rows_of
from snellen.analysis.bias import centre_bias, location_hits, scale_curve
from snellen.analysis.cover import cover_transfer, greedy_cover
from snellen.analysis.groups import group_bounds
from snellen.analysis.images import image_stats
from snellen.analysis.luck import luck
from snellen.analysis.merged import merged_accuracy
from snellen.analysis.survey import survey
from snellen.analysis.tiles import tile_map
from snellen.store.find import find_runs
from snellen.store.reader import Run

# 1-crop and upper bound on ImageNet, in percent: Table 1 of the study.
MODELS = {
    "AlexNet": (56.16, 90.03),
    "VGG-16": (71.37, 95.30),
    "ResNet-18": (69.45, 95.15),
    "ResNet-50": (75.75, 96.78),
    "ViT-B-32": (75.75, 97.19),
    "CLIP-ViT-L-14": (75.03, 96.78),
}
SOURCES = ("imagenet", "real", "imagenet+real")


def write(folder: Path, images: int) -> None:
    for seed, (model, (one_crop, upper)) in enumerate(MODELS.items()):
        path = folder / "imagenet" / model / "paper-fp32"
        if not (path / "run.json").is_file():
            write_study(path, model, images, one_crop / 100, upper / 100, seed)


def stages(run: Run) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each stage of one run's numbers; what a stage gives is kept for those after it."""
    kept: dict = {}

    def keep(name: str, make: Callable[[], object]) -> Callable[[], object]:
        return lambda: kept.setdefault(name, make())

    yield "samples: ids, sizes, errors", lambda: (run.image_ids, run.images, run.errors)
    yield "answers and confidence", keep("answers", lambda: read_answers(run))
    answers = kept["answers"]
    yield "labels", keep("labels", answers.labels)
    yield "right or wrong", keep("correct", answers.correct)
    correct, rows, grid = kept["correct"], answers.scored(), run.grid
    ids, sets = rows_of(answers.ids, rows), [kept["labels"][row] for row in rows]
    readable = run.samples.filter(run.samples["error"].is_null())
    sizes = [readable[side].to_numpy()[rows] for side in ("width", "height")]
    yield "upper bound alone", lambda: upper_bound(correct)
    yield "accuracy of each zoom", lambda: per_zoom(correct)
    yield "greedy cover", keep("cover", lambda: greedy_cover(correct))
    yield "oracle curve", lambda: oracle_curve(correct, kept["cover"])
    yield "cover of one half on the other", lambda: cover_transfer(correct)
    yield "groups", lambda: group_bounds(correct, grid)
    yield "locations and scales", lambda: (location_hits(correct, grid), scale_curve(correct, grid))
    yield "tiles", lambda: tile_map(correct, grid, *sizes)
    yield "luck", lambda: luck(ids, rows_of(answers.confidence, rows), correct, sets, grid.one_crop)
    yield "sensitivity and consensus", lambda: image_stats(ids, correct)
    yield "merged answers", lambda: merged_accuracy(answers)
    yield "bootstrap, 2,000 resamples", lambda: centre_bias(location_hits(correct, grid), 2000)


def measure(what: str, folder: Path) -> dict[str, float]:
    """Seconds of what is asked for, in this process, and its peak memory in MB."""
    runs = find_runs(folder)
    times = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        start = time.perf_counter()
        work()
        times[name] = time.perf_counter() - start

    if what == "stages":
        for name, work in stages(runs[0]):
            timed(name, work)
    else:
        timed("seconds", lambda: survey(runs, SOURCES if what == "sources" else [None], resamples=0))
    return times | {"MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def child(what: str, folder: Path, rounds: int) -> dict[str, float]:
    """Medians over as many processes."""
    command = [sys.executable, __file__, "--measure", what, "--runs", str(folder)]
    found = []
    for _ in range(rounds):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found.append(json.loads(done.stdout))
    return {name: common.median([one[name] for one in found]) for name in found[0]}


def compare(images: int, rounds: int, folder: Path) -> None:
    write(folder, images)
    times = child("stages", folder, rounds)
    del times["MB"]
    size = f"{images} images x {ZOOMS} zooms, {rounds} rounds"
    common.show(f"One run, {size}", ("stage", "median, s"), [[name, f"{value:.3f}"] for name, value in times.items()])
    rows = []
    for what, name in (("one", "one label source"), ("sources", "three label sources")):
        found = child(what, folder, rounds)
        rows.append([name, f"{found['seconds']:.1f}", f"{found['MB']:.0f}"])
    title = f"{len(MODELS)} runs and all their pairs, {size}: every number but exact covers and bootstraps"
    common.show(title, ("", "median, s", "peak memory, MB"), rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=Path, help="keep the studies here, and use those that are")
    parser.add_argument("--measure", choices=("stages", "one", "sources"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.runs)))
    elif options.runs:
        compare(options.images, options.rounds, options.runs)
    else:
        with tempfile.TemporaryDirectory(prefix="snellen-bench-") as folder:
            compare(options.images, options.rounds, Path(folder))


if __name__ == "__main__":
    main()
