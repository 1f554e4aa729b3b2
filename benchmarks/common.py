"""What the benchmarks share: the models they measure, commands and their time, tables."""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ZOOMS = 324


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the two things every benchmark needs."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path, help="a folder <class>/<image> of photographs")
    parser.add_argument("--checkpoint", type=Path, required=True, help="mobilenetv2_100 as .safetensors")
    return parser


def mobilenet(checkpoint: Path) -> str:
    """The spec of the network that is measured; trained with TensorFlow's padding and normalisation."""
    return f"timm/mobilenetv2_100@{checkpoint.resolve()},mean=0.5,pad_type=same,std=0.5"


def study(data: Path, model: str, out: Path, *options: str) -> float:
    """Wall seconds of one `snellen study` as a whole process."""
    command = [sys.executable, "-m", "snellen.cli", "study", str(data), "-m", model, "-o", str(out), "-q", *options]
    start = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stderr)
    return seconds


def fresh(run: Callable[[Path], float]) -> float:
    """Call `run` with an empty folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="snellen-bench-"))
    try:
        return run(folder)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def kept(folder: Path | None) -> Iterator[Path]:
    """A folder to work in: the one that is given, where what is done is kept, or an empty one that is removed."""
    with tempfile.TemporaryDirectory(prefix="snellen-bench-") as empty:
        yield folder or Path(empty)


def spread(data: Path, count: int, folder: Path) -> Path:
    """A folder with `count` images of `data`, evenly spread, as links; all of them where there are no more."""
    paths = sorted(data.glob("*/*"))
    for k in range(min(count, len(paths))):
        path = paths[k * len(paths) // min(count, len(paths))]
        link = folder / path.parent.name / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path.resolve())
    return folder


def copies(data: Path, count: int, folder: Path) -> Path:
    """A folder with every image of `data` `count` times, as links."""
    for path in sorted(data.glob("*/*")):
        (folder / path.parent.name).mkdir(exist_ok=True)
        for k in range(count):
            (folder / path.parent.name / f"{k}_{path.name}").symlink_to(path.resolve())
    return folder


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    print(f"\n### {title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    sys.stdout.flush()


def worker_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))
