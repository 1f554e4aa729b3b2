"""Images a second of `snellen eval` against a validation loop as timm's is, in turn, medians.

    python benchmarks/evaluate.py DATA --checkpoint FILE [--copies 10] [--rounds 3] [--precision fp32]

Start-up is left out for both: Snellen's time is from the start of its first shard to the end of its last.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import common
import snellen


def ours(data: Path, model: str, precision: str, out: Path) -> tuple[float, int]:
    """Images a second, and how many top-1 answers are right."""
    command = [sys.executable, "-m", "snellen.cli", "eval", str(data), "-m", model, "-o", str(out), "-q"]
    subprocess.run([*command, "--precision", precision], check=True, stdout=subprocess.DEVNULL)
    run = snellen.load_run(out)
    commits = run.commits.values()
    seconds = max(c["started"] + c["seconds"] for c in commits) - min(c["started"] for c in commits)
    return sum(c["images"] for c in commits) / seconds, run.accuracy().hits


def theirs(data: Path, model: str) -> tuple[float, int]:
    """The same of the validation loop."""
    command = [sys.executable, str(Path(__file__).with_name("validation_loop.py")), str(data), model]
    done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return done["images"] / done["seconds"], done["right"]


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    options = parser.parse_args()
    common.fresh(lambda folder: measure(options, folder))


def measure(options, folder: Path) -> float:
    model = common.mobilenet(options.checkpoint)
    (folder / "images").mkdir()
    data = common.copies(options.data, options.copies, folder / "images")
    os.environ["SNELLEN_CACHE"] = str(folder / "cache")
    plain, rates, right = [], {p: [] for p in options.precision}, {}
    for precision in options.precision:  # fills the model cache
        common.fresh(lambda out, p=precision: ours(options.data, model, p, out)[0])
    for _ in range(options.rounds):
        rate, right["validation loop"] = theirs(data, model)
        plain.append(rate)
        for precision in options.precision:

            def once(out: Path, precision=precision) -> float:
                rate, right[precision] = ours(data, model, precision, out)
                return rate

            rates[precision].append(common.fresh(once))
    base, images = common.median(plain), len(list(data.glob("*/*")))
    rows = [["validation loop, float32", f"{base:.1f}", "1", right["validation loop"], spread(plain)]]
    for precision in options.precision:
        ratio = common.median([a / b for a, b in zip(rates[precision], plain, strict=True)])
        rate = common.median(rates[precision])
        rows.append(
            [f"snellen eval {precision}", f"{rate:.1f}", f"{ratio:.1f}", right[precision], spread(rates[precision])]
        )
    title = f"mobilenetv2_100, {images} images, {len(common.worker_cores())} cores, medians of {options.rounds}"
    common.show(title, ("", "images/s", "times the loop", f"right of {images}", "images/s of each round"), rows)
    return 0.0


def spread(values: list[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


if __name__ == "__main__":
    main()
