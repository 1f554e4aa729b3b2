"""Milliseconds an image for decoding and for all 324 views, by Pillow's full resizes and as Snellen cuts them.

    python benchmarks/rendering.py DATA [--limit 300]

One process on one core, the processor's time; image by image one after the other, after a first image that is not
counted. Every view is compared.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import common
from snellen.zoom import PAPER_GRID
from snellen.zoom.render import decode, render, render_plain


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a folder <class>/<image> of photographs")
    parser.add_argument("--limit", type=int, default=300)
    options = parser.parse_args()
    os.sched_setaffinity(0, common.worker_cores()[:1])
    paths = sorted(options.data.glob("*/*"))[: options.limit]
    measure(paths[0])
    rows = np.array([measure(path) for path in paths])
    names = ("decode", "full resizes", "windows")
    table = [
        [name, *(f"{v:.1f}" for v in (np.median(ms), np.mean(ms), *np.quantile(ms, (0.05, 0.95))))]
        for name, ms in zip(names, rows.T, strict=False)
    ]
    megapixels = np.median(rows[:, 3])
    header = ("ms an image", "median", "mean", "5 %", "95 %")
    common.show(f"All 324 views of {len(paths)} images, {megapixels:.2f} megapixels (median), one core", header, table)
    print(f"\nFull resizes take {np.median(rows[:, 1] / rows[:, 2]):.1f} times as long (median of the images' ratios).")


def measure(path: Path) -> list[float]:
    """Milliseconds of decoding, full resizes and windows, and megapixels."""
    image, decoding = timed(lambda: decode(path))
    plain, full = timed(lambda: render_plain(image, PAPER_GRID.rules))
    views, windowed = timed(lambda: render(image, PAPER_GRID.rules))
    assert np.array_equal(views, plain), path
    return [decoding, full, windowed, image.width * image.height / 1e6]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    done = work()
    return done, 1000 * (time.process_time() - start)


if __name__ == "__main__":
    main()
