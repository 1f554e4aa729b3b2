"""What ImageNet with six models costs on one device and on many: hours, files, bytes, and the driver's part.

The shards are those that a study plans, handed out by its own code on a clock as in `planner.py`: a study is as long
as its last shard, starting and the driver included. Views a second of a device, which this machine need not have, are
given (`speed.py` and `gpu.py` measure them); so is what a message of Ray costs the driver (`ray_engine.py`). Bytes are
of shards that the store's writer wrote.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import common
import made_up
from planner import MESSAGE, STARTING, MadeUp, OnAClock, made_up_model
from snellen.engine.drive import drive
from snellen.engine.plan import open_plan
from snellen.engine.schedule import Schedule
from snellen.engine.worker import Task
from snellen.zoom import PAPER_GRID

IMAGES, MODELS = 50_000, 6
# The released archive of the validation images, ILSVRC2012_img_val.tar.
BYTES = 6_744_924_160
# Files of a shard: samples, predictions, merged answers, the commit record.
FILES = 4
# name, devices, views a second of one.
PLACES = (
    ("2 CPU cores", 2, 200.0),
    ("64 CPU cores", 64, 200.0),
    ("1 GPU", 1, 8000.0),
    ("8 GPUs", 8, 8000.0),
    ("64 nodes of 64 CPU cores", 4096, 200.0),
    ("64 nodes of 8 GPUs", 512, 8000.0),
)


def shards(images: int, workers: int, rate: float, out: Path) -> list[Task]:
    """The tasks of a study, by the plan itself."""
    model = made_up_model(rate)
    with open_plan(MadeUp(images), model, PAPER_GRID, out, limit=None, workers=workers, keep_probs=False) as plan:
        return plan.tasks()


def bytes_an_image(out: Path, images: int = 400) -> float:
    """Bytes that a run holds for each image, by a made-up one of the usual accuracy."""
    made_up.write_study(out / "bytes", "made-up", images, 0.75, 0.97, seed=0)
    return sum(path.stat().st_size for path in (out / "bytes").glob("*/*.*")) / images


def row(name: str, devices: int, rate: float, size: float, message: float, out: Path) -> Sequence[object]:
    """What a place costs."""
    tasks = shards(IMAGES, devices, rate, out / name)
    crew = OnAClock(devices, len(PAPER_GRID) / rate, message=message)
    drive(Schedule(tasks, devices), crew, devices, lambda views: None, print)
    seconds = MODELS * crew.clock
    return [
        name,
        f"{devices * rate:,.0f}",
        f"{seconds / 3600:.1f} h" if seconds > 3600 else f"{seconds / 60:.1f} min",
        f"{IMAGES * len(PAPER_GRID) / rate / devices / crew.clock:.0%}",
        f"{MODELS * len(tasks) * FILES:,}",
        f"{MODELS * IMAGES * size / 1e9:.1f} GB",
        f"{BYTES / crew.clock / 1e6:,.1f} MB/s",
        f"{len(tasks) / crew.clock:.1f}",
        f"{crew.messages / crew.clock:.0f}",
        f"{crew.driver / crew.clock:.1%}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cpu", type=float, default=PLACES[0][2], help="views/s of a CPU core")
    parser.add_argument("--gpu", type=float, default=PLACES[2][2], help="views/s of a GPU")
    parser.add_argument("--message", type=float, default=MESSAGE, help="seconds that a message costs the driver")
    options = parser.parse_args()
    rates = {PLACES[0][2]: options.cpu, PLACES[2][2]: options.gpu}
    with common.kept(None) as out:
        size = bytes_an_image(out)
        rows = [row(name, count, rates[rate], size, options.message, out) for name, count, rate in PLACES]
    header = (
        "place",
        "views/s",
        "6 models",
        "of that at work",
        "files",
        "written",
        "read",
        "hand-outs/s",
        "messages/s",
        "driver's CPU",
    )
    title = (
        f"ImageNet, {MODELS} models, {options.cpu:.0f} views/s a core, {options.gpu:.0f} a GPU, start {STARTING:.0f} s"
    )
    common.show(title, header, rows)
    print(f"\n{size:,.0f} bytes an image and model are written.")


if __name__ == "__main__":
    main()
