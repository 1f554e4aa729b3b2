"""How far the work is: a bar on a terminal, plain lines elsewhere, nothing when silent."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from snellen.redact import redacted

# Seconds between plain lines.
EVERY = 15.0


@dataclass
class Progress:
    """Counts views, and tells its listener.

    by_image: whether images may leave before they were shown all zooms, which are then counted all the same.
    """

    zooms: int
    by_image: bool = False
    views: int = 0
    started: float = field(default_factory=time.perf_counter)

    def advance(self, views: int) -> None:
        """`views` more are done; negative where a dead worker's are to be done again."""
        self.views += views

    @property
    def rate(self) -> float:
        """Views a second since the start."""
        return self.views / max(1e-9, time.perf_counter() - self.started)

    @property
    def speed(self) -> str:
        """The rate for a person."""
        return f"{self.rate / self.zooms:.1f} images/s" if self.by_image else f"{self.rate:.0f} views/s"


class Reporter(Protocol):
    """Where a command says what it is doing."""

    def status(self, text: str) -> None:
        """One line on what happens next, or on what was found."""
        ...

    def bar(self, images: int, zooms: int, of: int, by_image: bool = False) -> AbstractContextManager[Progress]:
        """A context in which `images` images are shown at `zooms` zooms; `of` is how many the run has in all.

        by_image: as `Progress` has it.
        """
        ...


class _Silent:
    def status(self, text: str) -> None:
        pass

    @contextmanager
    def bar(self, images: int, zooms: int, of: int, by_image: bool = False) -> Iterator[Progress]:
        yield Progress(zooms, by_image)


class _Lines(_Silent):
    """Plain lines on standard error."""

    def status(self, text: str) -> None:
        print(redacted(text), file=sys.stderr, flush=True)

    @contextmanager
    def bar(self, images: int, zooms: int, of: int, by_image: bool = False) -> Iterator[Progress]:
        yield _LineProgress(zooms, by_image, images=images, resumed=of - images, of=of)


@dataclass
class _LineProgress(Progress):
    images: int = 0
    resumed: int = 0
    of: int = 0
    last: float = field(default_factory=time.perf_counter)

    def advance(self, views: int) -> None:
        super().advance(views)
        now = time.perf_counter()
        if now - self.last >= EVERY or self.views >= self.images * self.zooms:
            self.last = now
            left = max(0, self.images * self.zooms - self.views) / max(self.rate, 1e-9)
            done = max(0, self.resumed) + self.views // self.zooms
            print(f"{done}/{self.of} images  {self.speed}  {left:.0f} s left", file=sys.stderr, flush=True)


class _Terminal(_Silent):
    """A rich bar: images, views a second, time left."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

    def status(self, text: str) -> None:
        self._console.print(redacted(text), style="dim", highlight=False, markup=False)

    @contextmanager
    def bar(self, images: int, zooms: int, of: int, by_image: bool = False) -> Iterator[Progress]:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Rich

        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("images"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
        )
        with Rich(*columns, console=self._console) as rich:
            resumed = max(0, of - images)
            task = rich.add_task("", total=resumed + images, completed=resumed, speed="")
            yield _RichProgress(zooms, by_image, show=partial(rich.update, task), resumed=resumed)


@dataclass
class _RichProgress(Progress):
    show: Callable[..., None] = field(kw_only=True)
    resumed: int = 0

    def advance(self, views: int) -> None:
        super().advance(views)
        self.show(completed=self.resumed + self.views // self.zooms, speed=self.speed)


silent: Reporter = _Silent()


def reporter(quiet: bool) -> Reporter:
    """The reporter for a command: a bar where standard error is a terminal, plain lines elsewhere."""
    if quiet:
        return silent
    return _Terminal() if sys.stderr.isatty() else _Lines()
