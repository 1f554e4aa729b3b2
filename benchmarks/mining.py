"""Mining against exhaustive studies: the same hard set, in how many forward passes and in how much time.

    python benchmarks/mining.py DATA --checkpoint FILE [--rounds 20] [--out DIR]

Two miners, efficientnet_lite0 and mobilenetv2_100, on the photographs, on a copy with 5 % of the labels swapped and on
the shifted copy of `shifted.py`: the set mined into an empty folder, the images that no zoom of a study gets right, and
both again after `study` has completed what was mined. Then forwards of one miner on random halves of the photographs,
each with half of the hard ones, with an order learned on the other half and with nothing learned. All in bf16. About an
hour on two cores; with `--out` what is done is kept, but times are then only of what was not.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import common
import snellen
from shifted import copy_shifted
from snellen.store import Run
from snellen.store.labels import encode_labels
from snellen.store.writer import commit

LITE = "embedded/efficientnet_lite0"
SWAPPED = 0.05
BF16 = ("--precision", "bf16")


def mined(data: Path, models: list[str], out: Path, *options: str) -> tuple[dict[str, Any], float]:
    """What `snellen mine --json` prints, and the seconds of the whole command."""
    command = [sys.executable, "-m", "snellen.cli", "mine", str(data), "-o", str(out), "--json", *BF16, *options]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, *(word for model in models for word in ("-m", model))], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout), time.perf_counter() - start


def linked(data: Path, ids: list[str], folder: Path) -> Path:
    """A folder with some of the images of `data`, as links."""
    for image in ids:
        link = folder / image
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to((data / image).resolve())
    return folder


def swapped(data: Path, folder: Path, seed: int = 0) -> Path:
    """A copy of `data`, as links, with a share of the images in the folder of another class."""
    paths = sorted(data.glob("*/*"))
    classes = sorted({path.parent.name for path in paths})
    rng = np.random.default_rng(seed)
    wrong = set(rng.choice(len(paths), round(SWAPPED * len(paths)), replace=False).tolist())
    for number, path in enumerate(paths):
        others = [name for name in classes if name != path.parent.name]
        name = str(rng.choice(others)) if number in wrong else path.parent.name
        link = folder / name / f"{path.parent.name}-{path.name}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path.resolve())
    return folder


def unread(out: Path) -> set[str]:
    """The images that no zoom of any study below a folder gets right."""
    runs = [run for run in snellen.store.find.find_runs(out) if len(run.grid) == common.ZOOMS]
    wrong = [{run.image_ids[k] for k in run.scored()[~run.correct().any(axis=1)]} for run in runs]
    return set.intersection(*wrong)


def candidates(out: Path) -> set[str]:
    """The images of a hard set."""
    return set(pq.read_table(out / "candidates.parquet")["image_id"].to_pylist())


def part_of(run: Run, ids: list[str], path: Path) -> Path:
    """A run that holds some images of another."""
    there = run.samples.filter(pc.is_in(run.samples["image_id"], pa.array(ids)))
    numbers = {old: new for new, old in enumerate(there["image"].to_pylist())}
    tables = {"samples": there, "predictions": run.table("predictions"), "merged": run.table("merged")}
    for kind, table in tables.items():
        inside = table.filter(pc.is_in(table["image"], there["image"]))
        image = pa.array([numbers[old] for old in inside["image"].to_pylist()], pa.int32())
        tables[kind] = inside.set_column(0, inside.schema.field("image"), image)
    for folder in ("parts", "commits"):
        (path / folder).mkdir(parents=True)
    commit(
        path,
        0,
        tables,
        {"start": 0, "stop": len(there), "fingerprint": run.record["fingerprint"], "images": len(there)},
    )
    names = tables["samples"]["image_id"].to_pylist()
    labels = dict(zip(run.image_ids, run.labels(), strict=True))
    (path / "labels.csv").write_bytes(encode_labels(names, [labels[name] for name in names], run.class_space))
    record = {**run.record, "shards": [0, len(there)], "data": {**run.record["data"], "images": len(there)}}
    (path / "run.json").write_text(json.dumps(record))
    return path


def exhaustive(kind: str, data: Path, models: list[str], folder: Path) -> list[object]:
    """A row: what is mined of a copy of the photographs, and what studies find."""
    seconds = sum(common.study(data, model, folder / f"studies-{kind}", *BF16) for model in models)
    hard = unread(folder / f"studies-{kind}")
    record, taken = mined(data, models, folder / f"mined-{kind}")
    found = candidates(folder / f"mined-{kind}")
    for model in models:
        common.study(data, model, folder / f"mined-{kind}", *BF16)
    completed = unread(folder / f"mined-{kind}")
    again, _ = mined(data, models, folder / f"mined-{kind}")
    same = found == hard == completed == candidates(folder / f"mined-{kind}") and again["views"] == record["views"]
    return [
        kind,
        len(hard),
        "yes" if same else f"NO: {sorted(found ^ hard)}",
        f"{record['forwards']:,}",
        f"{record['exhaustive'] / record['forwards']:.1f}",
        f"{seconds:.0f}",
        f"{taken:.1f}",
        f"{seconds / taken:.1f}",
    ]


def halves(name: str, model: str, data: Path, run: Run, rounds: int, folder: Path) -> list[list[object]]:
    """Two rows: a miner's forwards on halves of the photographs, learned on the other half and with nothing learned.

    The halves are random, but that each has half of the hard images: `mine` refuses a folder without one.
    """
    found: dict[str, list[tuple[float, float]]] = {"the other half": [], "nothing": []}
    readable = dict(zip(run.image_ids, run.correct().any(axis=1).tolist(), strict=True))
    for seed in range(rounds):
        ids = sorted(np.random.default_rng(seed).permutation(run.image_ids).tolist(), key=readable.__getitem__)
        place = folder / f"halves-{name}-{seed}"
        half = linked(data, ids[::2], place / "data")
        if not (place / "order").exists():
            part_of(run, ids[1::2], place / "order")
        for learned, options in (("the other half", ("--order", str(place / "order"))), ("nothing", ())):
            record, _ = mined(half, [model], place / learned, *options)
            (stage,) = record["funnel"]
            found[learned].append((stage["forwards"] / stage["floor"], stage["exhaustive"] / stage["forwards"]))
    rows = []
    for learned, ratios in found.items():
        of_floor, fewer = np.array(ratios).T
        rows.append(
            [
                name,
                learned,
                f"{np.median(of_floor):.2f}",
                f"{of_floor.min():.2f} – {of_floor.max():.2f}",
                f"{np.median(fewer):.0f}",
            ]
        )
    return rows


def main():
    parser = common.arguments(__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="random halves")
    parser.add_argument("--out", type=Path, help="keep what is done here, and go on from it")
    options = parser.parse_args()
    models = {"efficientnet_lite0": LITE, "mobilenetv2_100": common.mobilenet(options.checkpoint)}
    with common.kept(options.out) as folder:
        photographs = linked(
            options.data,
            [str(path.relative_to(options.data)) for path in sorted(options.data.glob("*/*"))],
            folder / "photographs",
        )
        sets = {
            "photographs": photographs,
            "swapped": swapped(options.data, folder / "swapped"),
            "shifted": copy_shifted(str(photographs), folder / "shifted"),
        }
        rows = [exhaustive(kind, data, list(models.values()), folder) for kind, data in sets.items()]
        header = ("", "hard", "same", "forwards", "times fewer", "studies, s", "mine, s", "times faster")
        common.show(
            f"two miners, {len(list(photographs.glob('*/*')))} images, {len(common.worker_cores())} cores", header, rows
        )
        rows = []
        for name, model in models.items():
            runs = snellen.store.find.find_runs(folder / "studies-photographs")
            run = next(run for run in runs if name in run.model)
            rows += halves(name, model, photographs, run, options.rounds, folder)
        header = ("miner", "order learned on", "forwards / fewest, median", "range", "times fewer than a study, median")
        common.show(f"one miner, {options.rounds} random halves of the photographs", header, rows)


if __name__ == "__main__":
    main()
