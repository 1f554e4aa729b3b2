"""The minimum cover and the bootstrap on made-up studies with the accuracies of the study's Table 1.

`python benchmarks/cover.py [--time-limit SECONDS]`; no data are needed. Published covers are greedy ones of the study.
"""

import argparse
import time

import numpy as np

from common import show
from snellen.analysis.bias import CENTRE_WEIGHTS, location_hits
from snellen.analysis.bootstrap import RESAMPLES, resample
from snellen.analysis.cover import TOP_K, greedy_cover
from snellen.analysis.exact import exact_cover
from snellen.analysis.groups import group_solves
from snellen.analysis.tiles import tile_hits
from snellen.zoom import PAPER_GRID
from synthetic import correct_matrix

# Data set, classifier, images, 1-crop, upper bound, zooms of the published greedy cover.
STUDIES = [
    ("ImageNet", "AlexNet", 50_000, 0.5616, 0.9003, 255),
    ("ImageNet", "VGG-16", 50_000, 0.7137, 0.9530, 242),
    ("ImageNet", "ResNet-18", 50_000, 0.6945, 0.9515, 250),
    ("ImageNet", "ResNet-50", 50_000, 0.7575, 0.9678, 234),
    ("ImageNet", "ViT-B/32", 50_000, 0.7575, 0.9719, 233),
    ("ImageNet", "CLIP-ViT-L/14", 50_000, 0.7503, 0.9678, 251),
    ("ImageNet-ReaL", "ViT-B/32", 46_837, 0.8189, 0.9875, 168),
    ("ImageNet-A", "CLIP-ViT-L/14", 7_500, 0.7128, 0.9845, 93),
    ("ImageNet-R", "CLIP-ViT-L/14", 30_000, 0.8774, 0.9920, 114),
    ("ImageNet-Sketch", "ResNet-50", 50_889, 0.2291, 0.4764, 281),
    ("ObjectNet", "ResNet-50", 18_574, 0.3618, 0.7683, 259),
]
IMAGENET = 6


def timed(call):
    start = time.perf_counter()
    found = call()
    return found, time.perf_counter() - start


def covers(time_limit: float) -> list[np.ndarray]:
    """Print the covers; the six matrices of the first data set are returned."""
    rows, matrices = [], []
    for seed, (data, model, images, one_crop, upper, published) in enumerate(STUDIES):
        correct = correct_matrix(images, one_crop, upper, seed)
        greedy, greedy_s = timed(lambda correct=correct: greedy_cover(correct))
        found = exact_cover(correct, time_limit)
        shares = f"{correct[:, PAPER_GRID.one_crop].mean():.2%}", f"{correct.any(axis=1).mean():.2%}"
        sizes = published, len(greedy), found.size, found.lower_bound, found.gap
        rows.append((f"{data}, {model}", f"{images:,}", *shares, *sizes, f"{greedy_s:.2f}", f"{found.seconds:.2f}"))
        if seed < IMAGENET:
            matrices.append(correct)
    header = ("study", "images", "1-crop", "upper bound", "published greedy", "greedy", "smallest found", "lower bound")
    show(f"Covers, at most {time_limit:g} s each", (*header, "gap", "greedy s", "exact s"), rows)
    return matrices


def measures(correct: np.ndarray) -> np.ndarray:
    """1-crop, top-36, upper bound, six of groups, nine locations, eight times the centre bias: `[images, 19]`."""
    solved, alone = group_solves(correct, PAPER_GRID)
    places = location_hits(correct, PAPER_GRID)
    single = correct[:, PAPER_GRID.one_crop], correct[:, greedy_cover(correct)[:TOP_K]].any(axis=1), correct.any(axis=1)
    columns = [*single, *solved.values(), *alone.values(), *places.T, places @ (8 * CENTRE_WEIGHTS).astype(int)]
    return np.stack(columns, axis=1).astype(np.int8)


def intervals(matrices: list[np.ndarray]) -> list[tuple[str, str]]:
    """Bootstrap every measure of every study and all their differences, from one stream of resamples."""
    values, measured_s = timed(lambda: np.concatenate([measures(correct) for correct in matrices], axis=1))
    drawn, drawn_s = timed(lambda: resample(values))
    each = values.shape[1] // len(matrices)

    def conclude():
        found = [drawn.estimate(column) for column in range(values.shape[1])]
        pairs = [(a, b) for a in range(len(matrices)) for b in range(a)]
        return found, [drawn.difference(a * each + k, b * each + k) for a, b in pairs for k in range(each)]

    (found, differences), concluded_s = timed(conclude)
    return [
        (f"values of {len(found)} measures", f"{measured_s:.2f}"),
        (f"{RESAMPLES} resamples of {len(values):,} images", f"{drawn_s:.2f}"),
        (f"{len(found)} intervals, {len(differences)} paired differences", f"{concluded_s:.2f}"),
    ]


def tiles(correct: np.ndarray) -> list[tuple[str, str]]:
    """Time the map of what windows see, where most images have one of a few sizes, and where all differ."""
    rng, rows = np.random.default_rng(0), []
    for name, (least, most) in {"a few hundred sizes": (490, 506), "as many sizes as images": (200, 3000)}.items():
        widths, heights = rng.integers(least, most, (2, len(correct)))
        rows.append(
            (f"tiles, {name}", f"{timed(lambda w=widths, h=heights: tile_hits(correct, PAPER_GRID, w, h))[1]:.2f}")
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds for each exact cover")
    matrices = covers(parser.parse_args().time_limit)
    rows = [*intervals(matrices), *tiles(matrices[0])]
    show(f"{len(matrices)} studies of 50,000 images x 324 zooms", ("what", "seconds"), rows)


if __name__ == "__main__":
    main()
