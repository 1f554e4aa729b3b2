"""The pictures of the page in docs/images: each view as a real browser shows it, light and dark, on a phone and in 4K.

    python benchmarks/pictures_of_view.py OUT [--hard HARD] [--all] -o docs/images

OUT holds runs, best of the embedded `examples`, whose photographs may be shown. With --all every view is taken at every
size in both schemes, to be looked at; without it, those that the documentation has. Says what each page complained of.
Needs playwright and a Chromium.
"""

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "tests" / "helpers"))

from browser import chromium  # noqa: E402

SIZES = {"phone": (390, 844), "desk": (1400, 900), "4k": (3840, 2160)}
SETTLED = 1500  # milliseconds after all is there
LOADED = """!/(Loading|reading) …/.test(document.body.innerText)
    && [...document.images].every((image) => image.complete || image.loading === 'lazy')"""


@dataclass(frozen=True)
class View:
    """One picture: the state of the page, in words of the link, and keys pressed before it is taken."""

    name: str
    link: str
    keys: tuple[str, ...] = ()
    size: str = "desk"
    scheme: str = "light"


RUNS = (
    View("overview", "#/s0/overview"),
    View("grid", "#/s0/grid"),
    View("image", "#/s0/image/0"),
    View("confusions", "#/s0/confusions"),
    View("compare", "#/s0/compare"),
    View("phone", "#/s0/grid", size="phone", scheme="dark"),
)
HARD = (View("review", "#/s0/review"), View("hard", "#/s0/overview"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", help="what `snellen view` opens: runs")
    parser.add_argument("--hard", help="a hard set")
    parser.add_argument("--all", action="store_true", help="every view at every size, light and dark")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    targets = [(options.out, RUNS), *([(options.hard, HARD)] if options.hard else [])]
    with chromium() as browser:
        for target, views in targets:
            with served(target, *(("--reviewer", "Ada") if target == options.hard else ())) as address:
                for view in variants(views) if options.all else views:
                    take(browser, address, view, options.output / f"view-{view.name}.png")


def variants(views: tuple[View, ...]) -> Iterator[View]:
    """Every view at every size in both schemes."""
    for view in (view for view in views if view.size == "desk"):
        for size in SIZES:
            for scheme in ("light", "dark"):
                yield View(f"{view.name}-{size}-{scheme}", view.link, view.keys, size, scheme)


@contextlib.contextmanager
def served(target: str, *more: str) -> Iterator[str]:
    """The address of `snellen view` on a target, with a cache of its own."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "snellen.cli", "view", target, "--no-open", "--port", "0", "--cache", cache]
        process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            found = next((link for line in process.stdout if (link := re.search(r"http://\S+", line))), None)
            if found is None:
                raise SystemExit(f"snellen view {target} gave no address")
            yield found[0]
        finally:
            process.terminate()
            process.wait()


def take(browser: Any, address: str, view: View, path: Path) -> None:
    """Write the picture of a view, and print what the page complained of."""
    width, height = SIZES[view.size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=view.scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address + view.link)
    page.wait_for_selector("main h1")
    settled = 0
    while settled < 2:  # the page allows no function that waits inside it
        page.wait_for_timeout(SETTLED)
        settled = settled + 1 if page.evaluate(LOADED) else 0
    for key in view.keys:
        page.keyboard.press(key)
        page.wait_for_timeout(SETTLED // 3)
    page.screenshot(path=path)
    print(path.name, *complaints, sep="\n  ")
    context.close()


if __name__ == "__main__":
    main()
