"""The page with as many images as ImageNet's validation set: start, memory, scrolling and filtering, in a real browser.

    python benchmarks/view.py DATA [--images 50000] [--models 2] [--folder KEPT]

DATA is a folder <class>/<image> of photographs, which are repeated by links. Runs are made up on them, see
`made_up.py`. `cold` is with no cache at all, `warm` with the one that this left. A page is usable when its grid shows
thumbnails; the models' columns may come later, and their time is shown beside it. Needs playwright and a Chromium.
"""

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

import common
from made_up import SHARD, answer_tables, spread
from snellen.datasets import open_dataset
from snellen.labels import IMAGENET_1K
from snellen.store.labels import encode_labels, labels_file
from snellen.store.schema import FORMAT, SAMPLES
from snellen.store.writer import commit
from snellen.zoom import PAPER_GRID

MODELS = (("made-up/strong", 0.80, 0.985), ("made-up/weak", 0.56, 0.93), ("made-up/fair", 0.70, 0.97))
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a folder <class>/<image> of photographs")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--models", type=int, default=2, choices=range(1, len(MODELS) + 1))
    parser.add_argument("--folder", type=Path, help="where the runs are made, and kept")
    options = parser.parse_args()
    with common.kept(options.folder) as folder:
        out = folder / "out"
        if not out.exists():
            make_runs(options.data, options.images, MODELS[: options.models], folder)
        rows = []
        cache = folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        for name in ("cold", "warm"):
            with served(out, cache) as (process, url, start), browser() as page:
                rows.append((name, *visit(page, url, start, process.pid)))
                if name == "warm":
                    moving = move(page)
    title = f"{options.images:,} images × {options.models} models"
    header = ("cache", "listening, s", "usable page, s", "models' columns, s", "server, MB", "with its children, MB")
    common.show(title, header, rows)
    common.show("In the browser", ("what", "value"), moving)


def make_runs(data: Path, images: int, models, folder: Path) -> None:
    """Runs of made-up models on repeated photographs."""
    photographs = sorted(data.glob("*/*"))
    links = folder / "photographs"
    common.copies(data, -(-images // len(photographs)), make(links))
    known = {path.resolve(): facts(path) for path in photographs}
    dataset = open_dataset(links)
    names = [item.id for item in dataset.items[:images]]
    labels = dataset.label_sets(names, IMAGENET_1K)
    about = [known[(links / name).resolve()] for name in names]
    for seed, (model, one_crop, upper) in enumerate(models):
        path = make(folder / "making" / "photographs" / model.replace("/", "-") / "paper-fp32")
        make(path / "parts"), make(path / "commits")
        shared, rng = np.random.default_rng(0), np.random.default_rng([2, seed])
        mean, width = spread(one_crop, upper, rng)
        ease = mean + width * (0.8 * shared.standard_normal(images) + 0.6 * rng.standard_normal(images))
        bounds = [*range(0, images, SHARD), images]
        for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
            own = np.array([row[0] for row in labels[start:stop]], np.int32)
            tables = answer_tables(range(start, stop), own, ease[start:stop], rng)
            rows = [
                {"image": k, "image_id": names[k], "origin": dataset.name, **about[k], "error": None}
                for k in range(start, stop)
            ]
            tables["samples"] = pa.Table.from_pylist(rows, schema=SAMPLES)
            work = {"fingerprint": f"{seed:064x}", "images": stop - start, "started": 0.0, "seconds": 60.0}
            commit(path, number, tables, {"start": start, "stop": stop, **work})
        sources = {"spec": dataset.spec, "name": dataset.name, "images": images, "label_sources": ["own"]}
        card = {"space": IMAGENET_1K.name, "keys": list(IMAGENET_1K.keys)}
        record = {"format": FORMAT, "fingerprint": f"{seed:064x}", "fingerprint_parts": {}, "batch_size": 64}
        record |= {"sessions": [], "data": sources, "grid": PAPER_GRID.to_json(), "shards": bounds}
        record |= {"model": {"spec": model, "precision": "fp32", "card": card}}
        (path / "run.json").write_text(json.dumps(record))
        (path / labels_file()).write_bytes(encode_labels(names, labels, IMAGENET_1K))
    (folder / "making").rename(folder / "out")


def make(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def facts(path: Path) -> dict[str, object]:
    with Image.open(path) as image:
        width, height = image.size
    return {"width": width, "height": height, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


@contextlib.contextmanager
def served(out: Path, cache: Path) -> Iterator[tuple[subprocess.Popen, str, float]]:
    """The command, once it listens: its process, the page's address, and when it was started."""
    command = [sys.executable, "-m", "snellen.cli", "view", str(out), "--no-open", "--port", "0"]
    start = time.perf_counter()
    environment = {**os.environ, "SNELLEN_CACHE": str(cache)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            url = re.search(r"http://\S+", next(iter(process.stdout), ""))
            if url is None:
                sys.exit("the command ended before it listened")
            yield process, url.group(), start
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@contextlib.contextmanager
def browser():
    """A page of a browser that has nothing in its own cache."""
    from playwright.sync_api import sync_playwright

    path = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield found.new_page(viewport={"width": 1400, "height": 900})
        found.close()


def visit(page, url: str, start: float, server: int) -> tuple[str, ...]:
    """Seconds from the command until it listens, the grid shows pictures, and all columns are there; memory in MB.

    The browser was started meanwhile; its start is not counted, as a person has one open.
    """
    listening = time.perf_counter() - start
    opened = time.perf_counter()
    page.goto(url + "#/s0/grid")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.cell img')].some((image) => image.complete && image.naturalWidth)",
        timeout=120_000,
    )
    usable = listening + time.perf_counter() - opened
    ready = "async () => (await (await fetch('data/site.json')).json()).sets[0].models.every((model) => model.ready)"
    most = 0.0
    while not page.evaluate(ready):
        most = max(most, with_children(server))
        time.sleep(0.25)
    done = listening + time.perf_counter() - opened
    return (f"{listening:.2f}", f"{usable:.2f}", f"{done:.1f}", f"{peak(server):.0f}", f"{most:.0f}")


def peak(process: int) -> float:
    """The most memory that a process has held, MB."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())[1]) / 1024


def with_children(process: int) -> float:
    """Memory of a process and those that it started, MB."""
    children = Path(f"/proc/{process}/task").glob("*/children")
    found = [process, *(int(one) for file in children for one in file.read_text().split())]
    total = 0.0
    for one in found:
        with contextlib.suppress(OSError, TypeError):
            total += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{one}/status").read_text())[1]) / 1024
    return total


SCROLL = """async () => {
  const one = document.querySelector('.scroller');
  const wait = () => new Promise((resolve) => requestAnimationFrame(resolve));
  let cells = 0, blank = 0, since = null;
  const look = () => {
    const box = one.getBoundingClientRect();
    const empty = !document.elementFromPoint(box.left + 60, box.top + box.height / 2)?.closest('.cell');
    if (empty) since ??= performance.now(); else since = null;
    if (empty) blank = Math.max(blank, performance.now() - since);
    cells = Math.max(cells, document.querySelectorAll('.cell').length);
  };
  for (let step = 0; step <= 200; step += 1) {
    one.scrollTop = one.scrollHeight * step / 200;
    await wait(); look();
  }
  one.scrollTop = one.scrollHeight / 2;
  for (let frame = 0; frame < 60; frame += 1) { await wait(); look(); }
  return [cells, Math.round(blank)];
}"""
FILTER = """([words]) => new Promise((resolve) => {
  const field = document.querySelector('input[type=search]'), count = document.querySelector('.count b');
  const start = performance.now();
  new MutationObserver(() => resolve(Math.round(performance.now() - start)))
    .observe(count, { characterData: true, subtree: true, childList: true });
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value').set.call(field, words);
  field.dispatchEvent(new Event('input', { bubbles: true }));
})"""


def move(page) -> list[tuple[str, str]]:
    """Scrolling from top to bottom with a jump to the middle, a search over names, and the confusions of a model."""
    cells, blank = page.evaluate(SCROLL)
    answers = [page.evaluate(FILTER, [word]) for word in ("shark", "dog", "")]
    start = time.perf_counter()
    page.get_by_role("link", name="Confusions").click()
    page.wait_for_selector(".confusion tbody tr", timeout=60_000)
    confusions = time.perf_counter() - start
    return [
        ("most cells in the document", str(cells)),
        ("longest blank while scrolling, ms", str(blank)),
        ("slowest answer of a filter, ms", str(max(answers))),
        ("confusions of a model with the labels, ms", f"{1000 * confusions:.0f}"),
    ]


if __name__ == "__main__":
    main()
