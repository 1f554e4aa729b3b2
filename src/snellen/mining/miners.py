"""The cascades of several miners over several data sets, in one folder, and what is known after each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snellen.classifiers import Prepared
from snellen.engine.names import run_directory
from snellen.engine.running import Running
from snellen.errors import UsageError
from snellen.files import is_folder
from snellen.mining.cascade import cascade
from snellen.mining.funnel import FAILED, READ, Stage, can_be_hard
from snellen.mining.order import Order
from snellen.mining.outcomes import Outcome, Pool, Taught, nothing_known, outcome, same_zooms, taught
from snellen.redact import redacted
from snellen.store import Run, load_run
from snellen.store.find import find_runs
from snellen.zoom import PAPER_GRID, Grid, paper_grid


@dataclass(eq=False)
class Miners:
    """Several miners at work on several pools.

    prior: what earlier runs teach an order; `kept`: the same of runs in `out`.
    runs, outcomes, wanted: by miner and pool: its run, what is known from it, and the images that the funnel showed it,
        bool `[images]`.
    """

    out: Path
    models: Sequence[Prepared]
    pools: Sequence[Pool]
    running: Running
    prior: Sequence[Taught] = ()
    kept: dict[Path, Taught] = field(init=False)
    runs: dict[tuple[int, int], Run] = field(init=False, default_factory=dict)
    outcomes: list[list[Outcome]] = field(init=False)
    wanted: dict[tuple[int, int], NDArray[np.bool_]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.outcomes = [[nothing_known(pool) for pool in self.pools] for _ in self.models]
        self.kept = {run.path: taught(run) for run in runs_of_zooms(self.out)}

    @cached_property
    def names(self) -> list[str]:
        """What each miner is called in files."""
        return [redacted(model.text) for model in self.models]

    def grid(self, miner: int) -> Grid:
        """The zooms as a miner is shown them."""
        return paper_grid(self.models[miner].card.view_size)

    def told(self, place: int) -> NDArray[np.int8]:
        """What is known of each miner and image of a pool: int8 `[miners, images]`."""
        return np.stack([outcomes[place].told for outcomes in self.outcomes])

    def usable(self, place: int) -> NDArray[np.bool_]:
        """Images of a pool that have a label and that nobody has found unreadable: bool `[images]`."""
        usable = self.pools[place].labelled
        usable[[image for outcomes in self.outcomes for image in outcomes[place].unreadable]] = False
        return usable

    def show(self, miner: int, place: int, images: NDArray[np.bool_]) -> None:
        """Show a miner some images of a pool, bool `[images]`, until it reads them or has failed at every zoom."""
        if not images.any():
            return
        model, pool, grid = self.models[miner], self.pools[place], self.grid(miner)
        path = run_directory(self.out, pool.dataset, model, grid)
        # The cascade teaches the order what lies in its own directory.
        order = Order.learn([*self.prior, *(known for at, known in self.kept.items() if at != path)], grid)
        numbers = np.flatnonzero(images).tolist()
        run = load_run(
            cascade(pool.dataset, model, grid, self.out, self.running, order, images=numbers, labels=pool.source)
        )
        self.runs[miner, place], self.kept[run.path] = run, taught(run)
        self.outcomes[miner][place] = outcome(run, pool)

    def funnel(self, needed: int) -> list[Stage]:
        """Show each miner in turn every image that at least `needed` of them may still fail on."""
        return [self._stage(miner, needed) for miner in range(len(self.models))]

    def _stage(self, miner: int, needed: int) -> Stage:
        say, text = self.running["report"].status, self.names[miner]
        counts = np.zeros(7, np.int64)
        for place, pool in enumerate(self.pools):
            before = self.usable(place)
            wanted = before & can_be_hard(self.told(place), needed)
            say(f"{text} on {pool.dataset.name}: {wanted.sum():,} of {before.sum():,} images can be hard")
            self.show(miner, place, wanted)
            self.wanted[miner, place] = wanted
            usable, told = self.usable(place), self.told(place)
            shown = wanted & usable
            found = [
                shown,
                *(shown & (told[miner] == what) for what in (READ, FAILED)),
                shown & can_be_hard(told, needed),
            ]
            forwards = self.outcomes[miner][place].forwards[wanted].sum()
            counts += [*(images.sum() for images in (*found, before & ~usable, usable)), forwards]
        of, read, failed, left, unreadable, readable, forwards = counts.tolist()
        zooms = len(self.grid(miner))
        return Stage(text, of, read, failed, left, unreadable, forwards, read + zooms * failed, zooms * readable)

    @property
    def further(self) -> int:
        """Views that miners were shown of images that the funnel did not show them."""
        return sum(
            int(self.outcomes[miner][place].forwards[~wanted].sum()) for (miner, place), wanted in self.wanted.items()
        )


def runs_of_zooms(place: Path) -> list[Run]:
    """The runs of the paper's zooms at or below a place, whole or not; none where there is no such folder."""
    if not is_folder(place):
        return []
    try:
        found = find_runs(place)
    except UsageError:
        return []
    return [run for run in found if same_zooms(run.grid, PAPER_GRID)]


def prior_of(runs: Sequence[str | Path]) -> list[Taught]:
    """What the runs at or below some places teach an order; UsageError for a place without one of the zooms."""
    known = []
    for place in runs:
        found = [run for run in find_runs(place) if same_zooms(run.grid, PAPER_GRID)]
        if not found:
            raise UsageError(f"--order {place}: no run there is of the study's zooms; give one that `study` made")
        known += [taught(run) for run in found]
    return known
