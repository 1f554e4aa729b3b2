"""bf16 against float32: accuracies, and the share of equal top-1; and how quickly a finished study answers again.

python benchmarks/precision.py DATA --checkpoint FILE [--limit 300] [--out FOLDER]
"""

from pathlib import Path

import numpy as np

import common
import snellen
from snellen.analysis.accuracy import upper_bound


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--out", type=Path, help="keep the runs here, or use those that are here")
    options = parser.parse_args()
    if options.out:
        measure(options, options.out)
    else:
        common.fresh(lambda folder: measure(options, folder))


def measure(options, out: Path) -> float:
    model, limit = common.mobilenet(options.checkpoint), ["--limit", str(options.limit)]
    for precision in ("fp32", "bf16"):
        common.study(options.data, model, out, "--precision", precision, *limit)
    again = [common.study(options.data, model, out, *limit) for _ in range(5)]
    fp32, bf16 = (snellen.load_run(next(out.glob(f"*/*/paper-{p}"))) for p in ("fp32", "bf16"))
    rows = [
        [name, f"{share(fp32)}", f"{share(bf16)}"]
        for name, share in (("1-crop", lambda run: run.accuracy()), ("upper bound", lambda r: upper_bound(r.correct())))
    ]
    common.show(f"mobilenetv2_100, {options.limit} images", ("", "fp32", "bf16"), rows)
    equal = fp32.answers() == bf16.answers()
    scales = np.array([rule.scale for rule in fp32.grid])
    groups = {f"{name}": equal[:, zooms] for name, zooms in fp32.grid.groups.items()}
    groups |= {"scales of at least 128": equal[:, scales >= 128], "all 324": equal}
    common.show("Equal top-1", ("zooms", "share"), [[name, f"{part.mean():.2%}"] for name, part in groups.items()])
    common.show("The same command after it has finished, s", ("median of 5",), [[f"{common.median(again):.2f}"]])
    return 0.0


if __name__ == "__main__":
    main()
