"""The cascades of several miners over several data sets, in one folder, and what is known after each."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snellen.classifiers import Prepared
from snellen.engine.names import run_directory
from snellen.engine.running import Running
from snellen.errors import UsageError
from snellen.files import exists, is_folder
from snellen.mining.cascade import cascade
from snellen.mining.funnel import FAILED, READ, Stage, can_be_hard
from snellen.mining.order import Order
from snellen.mining.outcomes import Outcome, Pool, Taught, nothing_known, outcome, same_zooms, taught
from snellen.places import is_remote
from snellen.redact import redacted
from snellen.store import Run, load_run
from snellen.store.find import find_runs, read_run_json
from snellen.store.mined import mined_commits
from snellen.zoom import PAPER_GRID, Grid, paper_grid


@dataclass(eq=False)
class Miners:
    """Several miners at work on several pools.

    prior: what runs elsewhere teach an order; `kept`: the same of runs in `out`, but for those that cannot be read.
    runs, outcomes, wanted: by miner and pool: its run, what is known from it, and the images that the funnel showed it,
        bool `[images]`.
    """

    out: Path
    models: Sequence[Prepared]
    pools: Sequence[Pool]
    running: Running
    prior: Mapping[Path, Taught] = field(default_factory=dict)
    kept: dict[Path, Taught] = field(init=False)
    runs: dict[tuple[int, int], Run] = field(init=False, default_factory=dict)
    outcomes: list[list[Outcome]] = field(init=False)
    wanted: dict[tuple[int, int], NDArray[np.bool_]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.outcomes = [[nothing_known(pool) for pool in self.pools] for _ in self.models]
        self.kept = {}
        for run in runs_of_zooms(self.out):
            self._learn(run)

    def _learn(self, run: Run) -> None:
        """Keep what a run in `out` teaches; nothing where a file is damaged, which its own cascade or study mends."""
        with contextlib.suppress(UsageError):
            self.kept[run.path] = teach(run, self.pools, self.models[0])

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

    def crop(self, place: int) -> NDArray[np.int8]:
        """What is known of 1-crop by each miner and image of a pool: int8 `[miners, images]`."""
        return np.stack([outcomes[place].crop for outcomes in self.outcomes])

    def unreadable(self, place: int) -> dict[int, str]:
        """Images of a pool that have a label and cannot be read, or that no miner has an answer to, and why."""
        of = [outcomes[place] for outcomes in self.outcomes]
        mute = set.intersection(*(set(one.unanswered) for one in of))
        found = {image: of[0].unanswered[image] for image in mute if not any(one.views[image] for one in of)}
        for one in of:
            found |= one.unreadable
        labelled = self.pools[place].labelled
        return {image: why for image, why in sorted(found.items()) if labelled[image]}

    def usable(self, place: int) -> NDArray[np.bool_]:
        """Images of a pool that have a label and that nobody has found unreadable: bool `[images]`."""
        usable = self.pools[place].labelled.copy()
        usable[list(self.unreadable(place))] = False
        return usable

    def show(self, miner: int, place: int, images: NDArray[np.bool_]) -> None:
        """Show a miner some images of a pool, bool `[images]`, until it reads them or has failed at every zoom."""
        if not images.any():
            return
        grid = self.grid(miner)
        path = run_directory(self.out, self.pools[place].dataset, self.models[miner], grid)
        # The cascade teaches the order what lies in its own directory.
        known = [*self.prior.values(), *(known for at, known in self.kept.items() if at != path)]
        self.runs[miner, place] = run = self._cascade(miner, place, grid, images, Order.learn(known, grid))
        self._learn(run)
        self.outcomes[miner][place] = outcome(run, self.pools[place])

    def show_crop(self, miner: int, place: int, images: NDArray[np.bool_]) -> None:
        """Show a miner the 1-crop of some images of a pool, bool `[images]`."""
        if images.any():
            one = self.one_crop(miner)
            run = self._cascade(miner, place, one, images, Order(one))
            told = outcome(run, self.pools[place]).told
            crop = self.outcomes[miner][place].crop
            crop[images] = told[images]

    def _cascade(self, miner: int, place: int, grid: Grid, images: NDArray[np.bool_], order: Order) -> Run:
        model, pool, numbers = self.models[miner], self.pools[place], np.flatnonzero(images).tolist()
        return load_run(
            cascade(pool.dataset, model, grid, self.out, self.running, order, images=numbers, labels=pool.source)
        )

    def one_crop(self, miner: int) -> Grid:
        """The 1-crop alone, as a miner is shown it."""
        grid = self.grid(miner)
        assert grid.one_crop is not None
        return Grid("1-crop", (grid.rules[grid.one_crop],))

    def shown(self, crops: bool) -> dict[tuple[str, ...], int]:
        """The views that mining showed these miners of these pools, by run, pass, shard and file.

        crops: of the runs of 1-crop alone, or of those of all zooms.
        """
        found: dict[tuple[str, ...], int] = {}
        for miner, model in enumerate(self.models):
            grid = self.one_crop(miner) if crops else self.grid(miner)
            for pool in self.pools:
                path = run_directory(self.out, pool.dataset, model, grid)
                if not exists(path / "run.json"):
                    continue
                for number, commits in mined_commits(path, read_run_json(path)).items():
                    for shard, commit in commits.items():
                        name = commit["files"]["predictions"]["name"]
                        found[str(path), str(number), str(shard), name] = int(commit.get("views", 0))
        return found

    def funnel(self, needed: int) -> list[Stage]:
        """Show each miner in turn every image that at least `needed` of them may still fail on."""
        return [self._stage(miner, needed) for miner in range(len(self.models))]

    def _stage(self, miner: int, needed: int) -> Stage:
        say, text = self.running["report"].status, self.names[miner]
        counts = np.zeros(10, np.int64)
        for place, pool in enumerate(self.pools):
            before = self.usable(place)
            wanted = before & can_be_hard(self.told(place), needed)
            say(f"{text} on {pool.dataset.name}: {wanted.sum():,} of {before.sum():,} images can be hard")
            self.show(miner, place, wanted)
            self.wanted[miner, place] = wanted
            usable, told, its = self.usable(place), self.told(place), self.outcomes[miner][place]
            shown, mute = wanted & usable, np.zeros(len(pool), bool)
            mute[list(its.unanswered)] = True
            found = [
                shown,
                *(shown & (told[miner] == what) for what in (READ, FAILED)),
                shown & mute,
                shown & can_be_hard(told, needed),
                before & ~usable,
                usable,
            ]
            counts += [
                *(images.sum() for images in found),
                *(views[wanted].sum() for views in (its.forwards, its.studied)),
                its.views[shown & mute].sum(),
            ]
        of, read, failed, unanswered, left, unreadable, readable, forwards, studied, in_part = counts.tolist()
        zooms = len(self.grid(miner))
        floor = read + zooms * (failed - unanswered) + in_part
        return Stage(text, of, read, failed, unanswered, left, unreadable, forwards, studied, floor, zooms * readable)

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


def teach(run: Run, pools: Sequence[Pool], model: Prepared) -> Taught:
    """What a run teaches an order: images of the pools by their labels; UsageError where a file is damaged."""
    same = run.class_space.fingerprint == model.card.class_space.fingerprint
    return taught(run, pools if same else ())


def prior_runs(places: Sequence[str | Path], out: Path) -> list[Run]:
    """The runs at or below some places that an order is to learn from, each once, but for those in `out`.

    UsageError for a place without a run of the paper's zooms.
    """
    runs: dict[Path, Run] = {}
    for one in places:
        found = [run for run in find_runs(one) if same_zooms(run.grid, PAPER_GRID)]
        if not found:
            raise UsageError(f"--order {one}: no run there is of the study's zooms; give one that `study` made")
        runs |= {_real(run.path): run for run in found}
    return [run for path, run in runs.items() if not path.is_relative_to(_real(out))]


def _real(path: Path) -> Path:
    return path if is_remote(path) else path.resolve()
