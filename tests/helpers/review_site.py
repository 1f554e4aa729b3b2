"""A hard set of small pictures, the real server in a process of its own that can be killed, and its review page."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from browser import Visit
from hard_pictures import hard_pictures
from hard_set import MadeUpImage
from PIL import Image
from waits import PATIENCE, wait_page

from snellen.labels import IMAGENET_1K
from snellen.mining.log import Verdict, read_log

COMMAND = (sys.executable, "-m", "snellen.cli", "view")
WORDS = {"k": "keep", "d": "drop", "u": "unsure"}


def pictures(folder: Path, count: int) -> tuple[Path, list[MadeUpImage]]:
    """A hard set of so many pictures of five classes, and its images in its order."""
    for k in range(count):
        path = folder / "photos" / IMAGENET_1K.keys[k % 5] / f"{k:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), (k % 256, 255 - k % 256, 7 * k % 256)).save(path)
    return folder / "HARD", hard_pictures(folder / "HARD", folder / "photos")


@dataclass
class Server:
    """`snellen view HARD` on a port that stays the same, so that a browser finds its own again."""

    hard: Path
    cache: Path
    options: tuple[str, ...] = ()
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        given = (str(self.hard), "--port", str(self.port), "--cache", str(self.cache), "--no-open", *self.options)
        self._process = subprocess.Popen((*COMMAND, *given), stdout=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"{self.address}data/site.json", timeout=10).close()
                return
            except OSError:
                assert self._process.poll() is None, "the server ended"
                assert time.monotonic() < until, "the server does not answer"
                time.sleep(0.05)

    def kill(self) -> None:
        """Kill it with -9, and what it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/"

    def said(self, reviewer: str) -> list[Verdict]:
        """What the log holds of a reviewer, in the order it was given."""
        return [verdict for verdict in read_log(self.hard).verdicts if verdict.reviewer == reviewer]


@contextlib.contextmanager
def server_of(hard: Path, cache: Path, *options: str) -> Iterator[Server]:
    """A server that runs, and is killed at the end."""
    server = Server(hard, cache, options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def open_review(context: Any, server: Server, reviewer: str, query: str = "") -> Visit:
    """A tab with the review page, ready for keys of that reviewer."""
    seen = Visit(context.new_page())
    page = seen.page
    page.on("console", lambda one: seen.complaints.append(f"{one.type}: {one.text}") if one.type != "log" else None)
    page.on("pageerror", lambda error: seen.complaints.append(f"error: {error}"))
    page.goto(f"{server.address}#/s0/review{query}")
    page.wait_for_selector(".review-totals")
    if page.locator(".review-name input").count():
        page.get_by_label("Reviewer").fill(reviewer)
        page.get_by_role("button", name="Begin").click()
    page.wait_for_selector(".review-words")
    page.wait_for_load_state("networkidle")
    return seen


def wait_stored(page: Any) -> None:
    """Wait until nothing is left to send, in the browser's storage and on the page."""
    wait_page(
        page,
        """() => !Object.keys(localStorage).some((name) => name.startsWith('snellen-verdict/'))
          && document.querySelector('.review-queue')?.dataset.waiting === '0'""",
    )


def waiting(page: Any) -> int:
    """How many verdicts the page says are not stored yet."""
    return int(page.locator(".review-queue").get_attribute("data-waiting"))


def image(page: Any) -> str:
    """The image that the page shows."""
    return str(page.locator(".review-picture figcaption a").inner_text())


def note(page: Any) -> str:
    """What the page says beside the buttons; it must be seen."""
    line = page.locator(".review-note")
    assert line.is_visible()
    box = line.bounding_box()
    assert box["width"] > 100
    assert box["height"] > 10
    return str(line.inner_text())


def typed(count: int, seed: int) -> str:
    """Keys of so many verdicts."""
    return "".join(random.Random(seed).choices("kdu", (5, 4, 1), k=count))


def told(verdicts: list[Verdict]) -> list[tuple[str, str]]:
    """What verdicts say, of which image."""
    return [(one.id, one.verdict) for one in verdicts]
