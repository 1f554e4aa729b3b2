"""Views a second of whole `snellen study` commands against the plain recipe, in turn, medians.

    python benchmarks/speed.py DATA --checkpoint FILE [--limit 64] [--rounds 3]

The plain recipe makes every 12th of its 324 passes; its start-up is left out of its time. Snellen's time is the whole
command's, from start to exit. The first command of each precision has an empty model cache (cold); it is shown apart.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import common


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    common.fresh(lambda cache: measure(options, cache))


def measure(options, cache: Path) -> float:
    os.environ["SNELLEN_CACHE"] = str(cache)
    model = common.mobilenet(options.checkpoint)
    limit = ["--limit", str(options.limit)]
    plain = [sys.executable, str(Path(__file__).with_name("plain_recipe.py")), str(options.data), model]

    def ours(precision: str) -> float:
        seconds = common.fresh(lambda out: common.study(options.data, model, out, "--precision", precision, *limit))
        return options.limit * common.ZOOMS / seconds

    cold = {precision: ours(precision) for precision in ("fp32", "bf16")}
    rates: dict[str, list[float]] = {"plain": [], "fp32": [], "bf16": []}
    for _ in range(options.rounds):
        done = subprocess.run([*plain, *limit, "--every", "12"], check=True, capture_output=True, text=True)
        counted = json.loads(done.stdout)
        rates["plain"].append(counted["views"] / counted["seconds"])
        for precision in ("fp32", "bf16"):
            rates[precision].append(ours(precision))
    base = common.median(rates["plain"])
    rows = [["plain recipe, float32", f"{base:.1f}", "1", "–", spread(rates["plain"])]]
    for precision in ("fp32", "bf16"):
        rate = common.median(rates[precision])
        pairs = common.median([a / b for a, b in zip(rates[precision], rates["plain"], strict=True)])
        rows.append(
            [
                f"snellen {precision}",
                f"{rate:.1f}",
                f"{pairs:.1f}",
                f"{cold[precision] / base:.1f}",
                spread(rates[precision]),
            ]
        )
    title = f"mobilenetv2_100, {options.limit} images, {len(common.worker_cores())} cores, medians of {options.rounds}"
    common.show(title, ("", "views/s", "times plain", "times plain, cold cache", "views/s of each round"), rows)
    return 0.0


def spread(values: list[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


if __name__ == "__main__":
    main()
