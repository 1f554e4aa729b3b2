"""Views a second of whole `snellen study` commands against two scripts, in turn, medians.

    python benchmarks/speed.py DATA --checkpoint FILE [--limit 64] [--rounds 3]

The plain recipe makes every 12th of its 324 passes over the folder; the loop decodes each image once and makes all of
its views. The start-up of both is left out of their time. Snellen's time is the whole command's, from start to exit.
The first command of each precision has empty caches of its own, of models and of machine code (cold); it is shown
apart.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import common
import snellen

SCRIPTS = {"plain recipe": ("plain_recipe.py", "--every", "12"), "PyTorch loop": ("torch_loop.py",)}
PRECISIONS = ("fp32", "bf16")


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    common.fresh(lambda folder: measure(options, folder))


def measure(options, folder: Path) -> float:
    model, limit = common.mobilenet(options.checkpoint), ("--limit", str(options.limit))

    def script(name: str) -> float:
        file, *more = SCRIPTS[name]
        command = [sys.executable, str(Path(__file__).with_name(file)), str(options.data), model, *limit, *more]
        if name == "PyTorch loop":
            command += ["--out", str(folder / "loop.npz")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        counted = json.loads(done.stdout)
        return counted["views"] / counted["seconds"]

    def ours(precision: str) -> tuple[float, NDArray[Any]]:
        def run(out: Path) -> Any:
            seconds = common.study(options.data, model, out, "--precision", precision, *limit)
            return options.limit * common.ZOOMS / seconds, snellen.load_run(out).answers()

        os.environ["SNELLEN_CACHE"] = str(folder / f"cache-{precision}")
        os.environ["NUMBA_CACHE_DIR"] = str(folder / f"numba-{precision}")
        return common.fresh(run)

    cold = {precision: ours(precision)[0] for precision in PRECISIONS}
    rates: dict[str, list[float]] = {name: [] for name in (*SCRIPTS, *PRECISIONS)}
    answers = {}
    for _ in range(options.rounds):
        for name in SCRIPTS:
            rates[name].append(script(name))
        for precision in PRECISIONS:
            rate, answers[precision] = ours(precision)
            rates[precision].append(rate)
    rows = []
    for name, found in rates.items():
        times = [f"{ratio(found, rates[script]):.1f}" for script in SCRIPTS]
        first = f"{cold[name] / common.median(rates['plain recipe']):.1f}" if name in cold else "–"
        shown = f"`snellen study`, {name}" if name in cold else f"{name}, float32"
        rows.append([shown, f"{common.median(found):.1f}", *times, first, ", ".join(f"{rate:.0f}" for rate in found)])
    title = f"mobilenetv2_100, {options.limit} images, {len(common.worker_cores())} cores, medians of {options.rounds}"
    header = ("", "views/s", "times plain", "times loop", "times plain, cold cache", "views/s of each round")
    common.show(title, header, rows)
    loop = np.load(folder / "loop.npz")["best"]
    for precision in PRECISIONS:
        same = int((answers[precision] == loop).sum())
        print(f"\nTop-1 of {precision} equal to the loop's: {same:,} of {loop.size:,}")
    return 0.0


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return common.median([a / b for a, b in zip(ours, theirs, strict=True)])


if __name__ == "__main__":
    main()
