"""How each miner does on the hard set mined without it: on the one it helped to mine it fails by construction.

The same for mining without zooms, where an image is hard if 1-crop is wrong.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.mining.funnel import READ, UNKNOWN, is_hard, undecided
from snellen.mining.miners import Miners


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
    one_crop_forwards: of 1-crop, where it was not among them.
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
    count, places, say = len(miners.models), range(len(miners.pools)), miners.running["report"].status
    fewer = min(needed, count - 1)
    for miner in range(count):
        others = [other for other in range(count) if other != miner]
        for place in places:
            told = miners.told(place)
            open_sets = np.any([undecided(without(told, other), fewer) for other in others], axis=0)
            lacking = open_sets & (told[miner] == UNKNOWN) & miners.usable(place)
            if lacking.any():
                say(f"{_without(miners, miner, place)}: {lacking.sum():,} images are open in a set")
            miners.show(miner, place, lacking)
    for miner, place in itertools.product(range(count), places):
        lacking = miners.usable(place) & (miners.crop(place)[miner] == UNKNOWN)
        if lacking.any():
            say(f"{_without(miners, miner, place)}: {lacking.sum():,} images at 1-crop")
        miners.show_crop(miner, place, lacking)
    usable = np.concatenate([miners.usable(place) for place in places])
    told = np.concatenate([miners.told(place) for place in places], axis=1)[:, usable]
    crop = np.concatenate([miners.crop(place) for place in places], axis=1)[:, usable]
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
    return LeftOut(fewer, tuple(rows), miners.further, sum(miners.shown(crops=True).values()))


def _without(miners: Miners, miner: int, place: int) -> str:
    return f"leave one out, {miners.names[miner]} on {miners.pools[place].dataset.name}"


def without(told: NDArray[np.int8], miner: int) -> NDArray[np.int8]:
    """What is known of the other miners: int8 `[miners - 1, images]`."""
    return np.delete(told, miner, axis=0)
