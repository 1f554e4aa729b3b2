"""Processes that decode images for the server, one image at a time each: see `pixels.py` for what they do."""

import contextlib
import queue
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

from snellen.engine.child import child_command
from snellen.errors import UsageError
from snellen.web.pixels import read_frame, write_frame
from snellen.zoom.grid import Grid
from snellen.zoom.render import UnreadableImage

# The largest image that is shown takes some seconds.
PATIENCE_SECONDS = 60.0


class LargeImage(Exception):
    """An image that is decoded only while no other such is."""


class Drawer:
    """One process, started when it is first needed and again after it died; ends with the one that started it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ended = False

    def ask(self, job: dict[str, Any], data: bytes) -> bytes:
        """What a job makes of an image's bytes; UnreadableImage where they are none, or end the process.

        Raises LargeImage where the image is one and the job is not to be `alone`.
        """
        process = self._ready()
        assert process.stdin is not None
        assert process.stdout is not None
        hung = threading.Timer(PATIENCE_SECONDS, process.kill)
        hung.start()
        try:
            write_frame(process.stdin, job, data)
            answer = read_frame(process.stdout)
        except BrokenPipeError:
            answer = None
        finally:
            hung.cancel()
        if answer is None:
            with self._lock:
                self._drop()
            raise UnreadableImage("it ended the process that decodes it, or took it more than a minute")
        head, made = answer
        if head["error"]:
            raise UnreadableImage(head["error"])
        if head.get("large"):
            raise LargeImage
        return made

    def close(self) -> None:
        """End the process; no other is started."""
        with self._lock:
            self._ended = True
            self._drop()

    def _ready(self) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._drop()
                if self._ended:
                    raise UnreadableImage("the server is ending")
                command = child_command("snellen.web.pixels")
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            return self._process

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):  # what was not sent is lost with it
                if pipe is not None:
                    pipe.close()


class Drawers:
    """Some processes; whoever asks takes the next that is idle. Safe to use from several threads.

    count: for pictures to look at. One more cuts views. Of images of more than `pixels.LARGE` pixels one is decoded at
    a time, by whichever; who waits for that keeps no process from other images.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise UsageError(f"{count} drawing processes: give at least one")
        self._all = [Drawer() for _ in range(count + 1)]
        self._pictures: queue.SimpleQueue[Drawer] = queue.SimpleQueue()
        self._views: queue.SimpleQueue[Drawer] = queue.SimpleQueue()
        for drawer in self._all[1:]:
            self._pictures.put(drawer)
        self._views.put(self._all[0])
        self._warmed = threading.Event()
        self._large = threading.Lock()

    def smaller(self, data: bytes, side: int, border: int = 0) -> bytes:
        """As `pixels.smaller`."""
        return self._ask(self._pictures, {"kind": "smaller", "side": side, "border": border}, data)

    def view(self, data: bytes, digest: str, border: int, grid: Grid, zoom: int) -> bytes:
        """As `pixels.Views.png`."""
        job = {"kind": "view", "digest": digest, "border": border, "grid": grid.to_json(), "zoom": zoom}
        return self._ask(self._views, job, data)

    def _ask(self, idle: "queue.SimpleQueue[Drawer]", job: dict[str, Any], data: bytes) -> bytes:
        try:
            with _taken(idle) as drawer:
                return drawer.ask(job | {"alone": False}, data)
        except LargeImage:
            with self._large, _taken(idle) as drawer:
                return drawer.ask(job | {"alone": True}, data)

    def warm(self) -> None:
        """Have views be cut at once when they are asked for: what cuts them takes a second to load."""
        if not self._warmed.is_set():
            self._warmed.set()
            threading.Thread(target=self._warm, name="warm", daemon=True).start()

    def _warm(self) -> None:
        with _taken(self._views) as drawer, contextlib.suppress(UnreadableImage, ValueError):  # closed meanwhile
            drawer.ask({"kind": "warm", "alone": True}, b"")

    def close(self) -> None:
        """End all processes; whoever still asks gets UnreadableImage or ValueError."""
        for drawer in self._all:
            drawer.close()


@contextlib.contextmanager
def _taken(idle: "queue.SimpleQueue[Drawer]") -> Iterator[Drawer]:
    drawer = idle.get()
    try:
        yield drawer
    finally:
        idle.put(drawer)
