"""Every top-1 of the study against the plain recipe, float32: how many are equal, and how close the others are to ties.

python benchmarks/exact.py DATA --checkpoint FILE [--limit 16]
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

import common
import snellen


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--limit", type=int, default=16)
    options = parser.parse_args()
    rows = []
    for model in ("embedded/efficientnet_lite0", common.mobilenet(options.checkpoint)):
        rows.append(common.fresh(lambda folder, model=model: compare(options, model, folder)))
    header = (
        "model",
        "answers",
        "equal",
        "largest lead of a differing answer over the next",
        "largest difference of p",
    )
    common.show("Top-1 of every image and zoom against the plain recipe, float32", header, rows)


def compare(options, model: str, folder: Path) -> list[object]:
    out, plain = folder / "out", folder / "plain.npz"
    script = str(Path(__file__).with_name("plain_recipe.py"))
    limit = ["--limit", str(options.limit)]
    subprocess.run([sys.executable, script, str(options.data), model, *limit, "--out", str(plain)], check=True)
    common.study(options.data, model, out, *limit)
    expected, run = np.load(plain), snellen.load_run(out)
    assert run.image_ids == list(expected["files"])
    differs = run.answers() != expected["best"]
    lead = expected["top2"][..., 0] - expected["top2"][..., 1]
    apart = np.abs(run.answers("p0") - expected["top2"][..., 0])[~differs].max()
    worst = f"{lead[differs].max():.1e}" if differs.any() else "–"
    return [model.split("@")[0], differs.size, f"{1 - differs.mean():.4%}", worst, f"{apart:.1e}"]


if __name__ == "__main__":
    main()
