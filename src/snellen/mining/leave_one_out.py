"""How each miner does on the hard set mined without it: on the one it helped to mine it fails by construction.

The same for mining without zooms, where an image is hard if 1-crop is wrong.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.mining.funnel import FAILED, READ, UNKNOWN, is_hard, undecided
from snellen.mining.miners import Miners
from snellen.mining.outcomes import Pool
from snellen.store import Run
from snellen.study import show
from snellen.zoom import Grid


@dataclass(frozen=True)
class Without:
    """A miner on all images and on the hard sets that the others mine; shares of images, `n` is the set's size.

    all: 1-crop on all images. hard: 1-crop on the hard set mined without it; any_zoom: at least one zoom there.
    zoom_free: 1-crop on the hard set that 1-crop of the others mines.
    """

    miner: str
    all: Share
    hard: Share
    any_zoom: Share
    zoom_free: Share

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        shares = ("all", "hard", "any_zoom", "zoom_free")
        return {"miner": self.miner, **{name: getattr(self, name).to_json() for name in shares}}


@dataclass(frozen=True)
class LeftOut:
    """Each miner without itself.

    needed: how many of the others fail on an image of those sets. forwards: views of the further cascades;
    one_crop_forwards: of 1-crop.
    """

    needed: int
    miners: tuple[Without, ...]
    forwards: int
    one_crop_forwards: int

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        return {**vars(self), "miners": [miner.to_json() for miner in self.miners]}


def score_without(miners: Miners, needed: int) -> LeftOut:
    """Do what the funnel left open, and score each miner on the hard set that the others mine.

    After the funnel. On an image of a set without a miner `needed` of the others fail, or all where they are fewer. A
    miner is shown the images that are open in one of these sets. One pass over the miners settles all: what is open at
    the end was open at the turn of the miner that is not known.
    """
    count, places = len(miners.models), range(len(miners.pools))
    fewer = min(needed, count - 1)
    for miner in range(count):
        others = [other for other in range(count) if other != miner]
        for place in places:
            told = miners.told(place)
            open_sets = np.any([undecided(without(told, other), fewer) for other in others], axis=0)
            miners.show(miner, place, open_sets & (told[miner] == UNKNOWN) & miners.usable(place))
    runs = [[_one_crop_run(miners, miner, place) for miner in range(count)] for place in places]
    crops = [np.stack([_right(run, pool) for run in some]) for some, pool in zip(runs, miners.pools, strict=True)]
    usable = np.concatenate([miners.usable(place) & (crops[place] != UNKNOWN).all(axis=0) for place in places])
    told = np.concatenate([miners.told(place) for place in places], axis=1)[:, usable]
    crop = np.concatenate(crops, axis=1)[:, usable]
    rows = []
    for miner in range(count):
        hard, free = (is_hard(without(known, miner), fewer) for known in (told, crop))
        rows.append(
            Without(
                miners.names[miner],
                share(crop[miner] == READ),
                share(crop[miner, hard] == READ),
                share(told[miner, hard] == READ),
                share(crop[miner, free] == READ),
            )
        )
    return LeftOut(fewer, tuple(rows), miners.further, sum(len(run.images) for some in runs for run in some))


def without(told: NDArray[np.int8], miner: int) -> NDArray[np.int8]:
    """What is known of the other miners: int8 `[miners - 1, images]`."""
    return np.delete(told, miner, axis=0)


def _one_crop_run(miners: Miners, miner: int, place: int) -> Run:
    """The run of a miner's 1-crop answers to a data set."""
    pool, grid = miners.pools[place], miners.grid(miner)
    assert grid.one_crop is not None
    one = Grid("1-crop", (grid.rules[grid.one_crop],))
    return show(pool.dataset, miners.models[miner], one, miners.out, miners.running, labels=[pool.source])


def _right(run: Run, pool: Pool) -> NDArray[np.int8]:
    """Whether 1-crop is right, `READ` or `FAILED`; `UNKNOWN` without a label or an answer: int8 `[images]`."""
    told = np.full(len(pool), UNKNOWN, np.int8)
    images = run.images[run.scored(pool.source)]
    right = run.correct(pool.source)[:, 0]
    here = images < len(pool)
    told[images[here]] = np.where(right[here], READ, FAILED)
    return told
