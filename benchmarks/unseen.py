"""Every test-time method on photographs and on their shifted copy: accuracy, a paired test against `center`, cost.

python benchmarks/unseen.py DATA --checkpoint FILE [--limit 300] [--memo 100] [--out DIR]

Methods of views on `--limit` images, MEMO on `--memo` of them, spread evenly over DATA, a table each: each table's
p-values are corrected for its own methods. All in bf16, MEMO by the preset `paper`. With `--out` what is done is kept,
and the same command goes on from there.
"""

import json
import subprocess
import sys
from pathlib import Path

import common
from shifted import copy_shifted

MERGES = ("mean", "max", "gmean", "vote", "confident-8", "zero")
VIEWS = (
    *("center", "1crop", "5crop", "10crop"),
    *(f"{merge}:paper:centre" for merge in MERGES),
    *("mean:paper:centre+flip", "mean:paper:in", "max:paper:in"),
)
# Batch norm of mixed statistics can ruin a network, so the step is also made without.
MEMO = ("center", "memo-augmix", "memo-rrc", "memo-augmix,prior=none", "memo-rrc,prior=none")
HEADER = ("method", "top-1 % [95 %]", "against center", "p (Holm)", "forwards", "ms")


def answered(data, model, methods, out):
    """The rows that `snellen tta --json` prints."""
    command = [sys.executable, "-m", "snellen.cli", "tta", str(data), "-m", model, "-o", str(out), "--json"]
    command += ["--precision", "bf16", *(part for method in methods for part in ("--method", method))]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    return json.loads(done.stdout)[0]["methods"]


def line(row):
    share, test = row["accuracy"], row["mcnemar"]
    interval = f"{100 * share['value']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"
    against = (f"+{test['only_this']} −{test['only_baseline']}", f"{row['p_holm']:.2g}") if test else ("–", "–")
    return (row["method"], interval, *against, f"{row['forwards']:.0f}", f"{row['ms']:.0f}")


def measure(data, models, limit, memo, folder):
    sets = {}
    for methods, count in ((VIEWS, limit), (MEMO, memo)):
        plain = common.spread(data, count, folder / f"photographs-{count}")
        sets[methods] = {"photographs": plain, "shifted": copy_shifted(str(plain), folder / f"shifted-{count}")}
    for name, model in models.items():
        for kind in ("photographs", "shifted"):
            for methods, copies in sets.items():
                rows = answered(copies[kind], model, methods, folder / "out")
                common.show(f"{name}, {kind}, {rows[0]['accuracy']['n']} images", HEADER, [line(row) for row in rows])


def main():
    parser = common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=300, help="images for methods of views")
    parser.add_argument("--memo", type=int, default=100, help="images for MEMO")
    parser.add_argument("--out", type=Path, help="where copies and answers are kept")
    options = parser.parse_args()
    models = {
        "efficientnet_lite0": "embedded/efficientnet_lite0",
        "mobilenetv2_100": common.mobilenet(options.checkpoint),
    }
    with common.kept(options.out) as folder:
        measure(options.data, models, options.limit, options.memo, folder)


if __name__ == "__main__":
    main()
