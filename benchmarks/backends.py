"""Every backend × precision × batch size as `snellen bench` measures it, and int8 and bf16 against float32.

    python benchmarks/backends.py DATA --checkpoint FILE [--rounds 5] [--precision fp32 --precision bf16 …]

Four networks: the three that ship, and mobilenetv2_100. `times eager` is over eager PyTorch in float32 at its best
batch size. The last table has each backend's agreement on views of DATA, which no form was made or calibrated with.
"""

import os
from pathlib import Path

import numpy as np

import common
from snellen.analysis.accuracy import share
from snellen.bench import bench
from snellen.classifiers import prepare
from snellen.classifiers.agreement import apart
from snellen.classifiers.views import real_views
from snellen.datasets import open_dataset


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", action="append", help="fp32, bf16, fp16 or int8; may be given again")
    parser.add_argument("--views", type=int, default=600, help="views of DATA that answers are compared on")
    options = parser.parse_args()
    common.fresh(lambda cache: measure(options, cache))


def measure(options, cache: Path) -> float:
    os.environ["SNELLEN_CACHE"] = str(cache)
    embedded = [f"embedded/efficientnet_lite{k}" for k in range(3)]
    agreement = []
    for model in (*embedded, common.mobilenet(options.checkpoint)):
        name = model.partition("@")[0]
        found = bench(model, precisions=options.precision or ("fp32", "bf16", "int8"), rounds=options.rounds)
        eager = next(row for row in found.rows if (row.backend, row.precision) == ("torch", "fp32"))
        batches = sorted({batch for row in found.rows for batch in row.rates})
        rows = [
            [
                row.precision,
                row.backend,
                *(f"{row.rates[batch]:.0f}" if batch in row.rates else "–" for batch in batches),
                f"{row.views_per_s / eager.views_per_s:.1f}",
                f"{row.apart:.1e}",
                row.equal,
                "auto" if found.auto.get(row.precision) == row.backend else "",
            ]
            for row in found.rows
        ]
        header = ("precision", "backend", *map(str, batches), "times eager", "largest difference", "same answer", "")
        common.show(f"{name}, views/s of {found.workers} processes, medians of {options.rounds}", header, rows)
        for backend, precision, why in found.left_out:
            print(f"\nleft out: {backend} {precision}: {why}")
        agreement += agree(model, name, found, options)
    header = ("model", "precision", "backend", "largest difference", "same answer")
    common.show(f"Against eager float32 on views of {options.data.name}", header, agreement)
    return 0.0


def agree(model: str, name: str, found, options) -> list[list[object]]:
    """Each measured backend against eager float32 on views of the user's own photographs."""
    reference = prepare(model, backend="torch")
    views, _ = real_views(open_dataset(options.data), reference.card.view_size, options.views)
    expected = answered(reference.with_batch(36), views)
    rows = []
    for row in found.rows:
        prepared = prepare(model, backend=row.backend, precision=row.precision)
        logits = answered(prepared, views)
        equal = share(logits.argmax(axis=1) == expected.argmax(axis=1))
        rows.append([name, row.precision, row.backend, f"{apart(logits, expected):.1e}", equal])
    return rows


def answered(prepared, views):
    classifier, batch = prepared.classifier(), prepared.batch_size
    return np.concatenate([classifier.logits(views[k : k + batch]) for k in range(0, len(views), batch)])


if __name__ == "__main__":
    main()
