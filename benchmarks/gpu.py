"""What a GPU does, stage by stage and together, and how long the largest study would take: 50,000 images x 324 views.

    python benchmarks/gpu.py [DATA] [--model SPEC] [--precision bf16] [--backends torch torch-compile] [--device cuda]

DATA: a folder <class>/<image> of photographs, else those that come with the package; as they are, and resized to two
usual shapes. Without --model, ResNet-50 with random weights. With `--device cpu` all of it runs without a GPU.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import common
import snellen
from snellen.classifiers import Prepared, prepare
from snellen.datasets import open_dataset
from snellen.engine.decoding import decode_image, plan_views
from snellen.engine.gpu import load_gpu_worker
from snellen.engine.samples import sample_row
from snellen.engine.worker import Task
from snellen.zoom import paper_grid
from snellen.zoom.bands import TILE, Bands, bands_of
from snellen.zoom.grid import SCALES
from snellen.zoom.render_gpu import cut

IMAGES = 50_000
RESNET50 = f"{Path(__file__).with_name('resnet50.py')}:network"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="a folder <class>/<image> of photographs")
    parser.add_argument("--model", default=RESNET50)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--backends", nargs="+", default=["torch", "torch-compile"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", type=int, nargs="+", default=[162, 324, 648], help="batch sizes of the bare model")
    parser.add_argument("--shapes", nargs="+", default=["500x375", "2000x1500"], help="of photographs, WIDTHxHEIGHT")
    parser.add_argument("--images", type=int, nargs="+", default=[600, 200], help="how many of each shape")
    parser.add_argument("--scales", type=int, default=len(SCALES), help="this many of the study's scales")
    parser.add_argument("--rounds", type=int, default=10, help="of every stage by itself")
    parser.add_argument("--no-command", action="store_true", help="leave out whole commands")
    options = parser.parse_args()
    common.fresh(partial(measure, options))


def measure(options: argparse.Namespace, folder: Path) -> float:
    step = len(SCALES) / options.scales
    grid = paper_grid(scales=tuple(SCALES[int(k * step)] for k in range(options.scales)))
    shapes = [tuple(map(int, shape.split("x"))) for shape in options.shapes]
    data = {}
    for shape, count in zip(shapes, options.images, strict=True):
        data[shape] = photographs(options.data, shape, count, folder / "x".join(map(str, shape)))
    machine(options)
    decoding(data, grid, options)
    cutting(data, grid, options)
    best = bare(options)
    for shape, photos in data.items():
        whole(options, shape, photos, grid, best, folder)
    return 0.0


def photographs(source: Path | None, shape: tuple[int, int], count: int, folder: Path) -> Path:
    """A class folder of `count` JPEG files of one shape, all different, made from the photographs in turn."""
    paths = (
        sorted(source.glob("*/*")) if source else sorted(Path(snellen.__file__).parent.glob("datasets/examples/*.jpg"))
    )
    (folder / "n01440764").mkdir(parents=True)
    for k in range(count):
        image = Image.open(paths[k % len(paths)]).convert("RGB")
        shift = k // len(paths)  # another cut of the same photograph
        image = image.crop((shift % 7, shift // 7 % 7, image.width - shift % 5, image.height - shift % 3))
        image.resize(shape, Image.Resampling.BICUBIC).save(folder / "n01440764" / f"{k:05d}.jpg", quality=90)
    return folder


def machine(options: argparse.Namespace) -> None:
    cuda = options.device.startswith("cuda")
    name = torch.cuda.get_device_name(options.device) if cuda else "no GPU"
    rows = [["device", name], ["cores", len(common.worker_cores())], ["torch", torch.__version__]]
    rows += [["model", Path(options.model).name], ["precision", options.precision]]
    common.show("The machine", ("", ""), rows)


def timed(work: Callable[[], object], device: str, rounds: int) -> float:
    """The median of seconds that `work` takes, its part on the device included."""

    def once() -> float:
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    once()
    return statistics.median(once() for _ in range(rounds))


def decoding(data: dict, grid, options: argparse.Namespace) -> None:
    """One process: read, hash and decode an image; and plan its views, once for images of one shape."""
    rows = []
    for (width, height), folder in data.items():
        dataset = open_dataset(folder)
        plan = lru_cache(partial(plan_views, rules=grid.rules))
        plan(width, height)
        images = min(len(dataset.items), 3 * options.rounds)
        seconds = timed(partial(decode_all, dataset, images, grid.rules, plan), "cpu", 3) / images
        planning = timed(partial(bands_of, width, height, grid.rules), "cpu", options.rounds)
        views = len(grid) / (seconds + planning)
        rows.append([f"{width} x {height}", f"{1000 * seconds:.1f}", f"{1000 * planning:.1f}", f"{views:,.0f}"])
    header = ("photographs", "read, hash, decode, ms", "plan, ms", "views/s of one process, every shape new")
    common.show("Decoding, one process", header, rows)


def decode_all(dataset, images: int, rules, plan) -> None:
    for image in range(images):
        decode_image(dataset, sample_row(dataset, image), None, rules, plan)


def work_of(bands: Bands) -> tuple[float, float]:
    """Floating-point operations of an image's products, and bytes that they move in the device's memory.

    A source value is read and written as a byte, read and written as float64, and read by the product; a result is
    written, clipped, and read as float64, then written, read and written as a byte.
    """
    operations = moved = 0
    for half in bands.halves:
        across = bands.width if half.across else bands.height
        products = [(batch.tiles, batch.reach, 3 * across) for batch in half.first]
        products += [(batch.uses, batch.reach, 3 * TILE) for batch in half.second]
        for count, reach, lines in products:
            operations += 2 * count * TILE * reach * lines
            moved += count * (reach * lines * (1 + 1 + 1 + 8 + 8) + TILE * reach * 8 + TILE * lines * (4 * 8 + 3))
    return operations, moved


def cutting(data: dict, grid, options: argparse.Namespace) -> None:
    """All views of an image whose pixels are on the device, checked against Pillow."""
    rows = []
    for (width, height), folder in data.items():
        picture = Image.open(next(folder.glob("*/*"))).convert("RGB")
        bands, numbers = bands_of(width, height, grid.rules)
        pixels, given = (torch.from_numpy(a).to(options.device) for a in (np.array(picture), numbers))
        seconds = timed(partial(cut, pixels, bands, given), options.device, options.rounds)
        wrong = int((cut(pixels, bands, given).cpu().numpy() != by_pillow(picture, grid.rules)).sum())
        operations, moved = work_of(bands)
        rates = [f"{operations / 1e9:.1f}", f"{operations / seconds / 1e12:.2f}"]
        rates += [f"{moved / 1e9:.1f}", f"{moved / seconds / 1e12:.2f}"]
        rows.append([f"{width} x {height}", f"{1000 * seconds:.2f}", f"{len(grid) / seconds:,.0f}", *rates, wrong])
    header = ("photograph", "ms an image", "views/s", "GFLOP", "TFLOP/s", "GB", "TB/s", "pixels unlike Pillow's")
    common.show(f"Cutting {len(grid)} views on the device", header, rows)


def by_pillow(picture: Image.Image, rules) -> np.ndarray:
    """The views by Pillow's resize of the whole image and its crop."""
    views, resized, last = [], picture, None
    for rule in rules:
        size = rule.resized(*picture.size)
        if size != last:
            resized, last = picture.resize(size, Image.Resampling.BICUBIC), size
        left, top = rule.window(*size)
        views.append(np.asarray(resized.crop((left, top, left + rule.size, top + rule.size))))
    return np.stack(views)


def bare(options: argparse.Namespace) -> Prepared:
    """The network alone, on views that are on the device already; the best backend and batch size."""
    rows, found = [], []
    for backend in options.backends:
        prepared = prepare(options.model, precision=options.precision, backend=backend, device=options.device)
        for batch in options.batches:
            prepared = prepared.with_batch(batch)
            start = time.perf_counter()
            classifier = prepared.classifier()
            loading = time.perf_counter() - start
            size = prepared.card.view_size
            views = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8, device=options.device)
            rate = batch / timed(partial(classifier.logits_on_device, views), options.device, options.rounds)
            found.append((rate, prepared))
            rows.append([backend, batch, f"{loading:.1f}", f"{rate:,.0f}", minutes(rate)])
    common.show("The network alone", ("backend", "batch", "loading, s", "views/s", "50,000 x 324, min"), rows)
    return max(found, key=lambda pair: pair[0])[1]


def whole(options: argparse.Namespace, shape: tuple, photos: Path, grid, best: Prepared, folder: Path) -> None:
    """A worker of this process, warm; and whole commands."""
    dataset, rows = open_dataset(photos), []
    images, name = len(dataset.items), "x".join(map(str, shape))
    job = {"run": str(folder / f"run-{name}"), "grid": grid.to_json(), "classes": None, "keep_probs": False}
    for part in ("parts", "commits"):
        (Path(job["run"]) / part).mkdir(parents=True)
    worker = load_gpu_worker(job, replace(best, device=options.device), dataset, grid, None)
    warm = max(1, images // 20)
    worker.run(Task(0, 0, warm), lambda views: None)
    start = time.perf_counter()
    worker.run(Task(1, 0, images), lambda views: None)
    rate = images * len(grid) / (time.perf_counter() - start)
    what = f"{best.backend}, batch {best.batch_size}"
    rows.append([f"one shard, warm worker, {worker.decoders} decode processes", what, f"{rate:,.0f}", minutes(rate)])
    if not options.no_command:
        flags = ("--backend", best.backend, "--precision", options.precision, "--device", options.device)
        flags += ("--batch-size", str(best.batch_size), "--workers", "1")
        out = folder / f"out-{name}"
        seconds = common.study(photos, options.model, out, *flags)
        commits = snellen.load_run(next(out.glob("*/*/*/run.json")).parent).commits.values()
        rate = images * common.ZOOMS / seconds
        rows.append([f"whole command, {seconds:.0f} s", what, f"{rate:,.0f}", minutes(rate)])
        rate = images * common.ZOOMS / sum(commit["seconds"] for commit in commits)
        rows.append([f"its {len(commits)} shards, without start and hand-out", what, f"{rate:,.0f}", minutes(rate)])
    common.show(f"{images} photographs of {name}", ("", "", "views/s", "50,000 x 324, min"), rows)


def minutes(rate: float) -> str:
    return f"{IMAGES * common.ZOOMS / rate / 60:.1f}"


if __name__ == "__main__":
    sys.exit(main())
