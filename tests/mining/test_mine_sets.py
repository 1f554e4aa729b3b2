"""The funnel and the sets without each miner, against counting by brute force; miners answer from made-up matrices."""

from dataclasses import dataclass, field
from itertools import combinations
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from snellen.engine.progress import silent
from snellen.mining.funnel import FAILED, READ, UNKNOWN, can_be_hard, is_hard, undecided
from snellen.mining.leave_one_out import score_without
from snellen.mining.miners import Miners
from snellen.mining.outcomes import Pool, nothing_known

ZOOMS, CROP = 7, 2


@dataclass(eq=False)
class MatrixMiners(Miners):
    """Miners that know from the start what they would answer.

    correct: of each pool, bool `[miners, images, zooms]`. bad: of each pool, images that cannot be read.
    mute: of each miner and pool, images that it has no answer to.
    asked, cropped: how often each miner was shown each image, and its zoom `CROP` alone, by miner and pool.
    """

    correct: list = field(default_factory=list)
    bad: list = field(default_factory=list)
    mute: dict = field(default_factory=dict)
    asked: dict = field(default_factory=dict)
    cropped: dict = field(default_factory=dict)

    def __post_init__(self):
        self.outcomes = [[nothing_known(pool) for pool in self.pools] for _ in self.models]

    def grid(self, miner):
        return range(ZOOMS)

    def show(self, miner, place, images):
        outcome = self.outcomes[miner][place]
        times = self.asked.setdefault((miner, place), np.zeros(len(images), int))
        times += images
        for image in np.flatnonzero(images).tolist():
            if image in self.bad[place]:
                outcome.unreadable[image] = "broken"
                continue
            if image in self.mute.get((miner, place), ()):
                outcome.told[image] = outcome.crop[image] = FAILED
                outcome.unanswered[image] = "mute"
                continue
            right = self.correct[place][miner, image]
            outcome.told[image] = READ if right.any() else FAILED
            outcome.forwards[image] = outcome.views[image] = right.argmax() + 1 if right.any() else ZOOMS
            if outcome.views[image] > CROP:
                outcome.crop[image] = READ if right[CROP] else FAILED

    def show_crop(self, miner, place, images):
        self.cropped[miner, place] = images.astype(int)
        right = self.correct[place][miner][images, CROP]
        self.outcomes[miner][place].crop[images] = np.where(right, READ, FAILED)

    def shown(self, crops):
        assert crops
        return {key: int(images.sum()) for key, images in self.cropped.items()}


def some_miners(seed, count, sizes=(30, 20), bad=0.05):
    rng = np.random.default_rng(seed)
    correct, pools, broken = [], [], []
    for size in sizes:
        ease = rng.random((1, size, 1)) ** 3
        correct.append(rng.random((count, size, ZOOMS)) < ease * 0.6)
        labels = [[1] if rng.random() < 0.9 else [] for _ in range(size)]
        pools.append(Pool(SimpleNamespace(name="made-up", spec="made-up"), None, labels))
        broken.append(set(np.flatnonzero(rng.random(size) < bad).tolist()))
    models = [SimpleNamespace(text=f"model-{k}") for k in range(count)]
    return MatrixMiners(None, models, pools, {"report": silent}, correct=correct, bad=broken)


def usable_of(miners, place):
    labels = miners.pools[place].labels
    return np.array([len(labels[k]) > 0 and k not in miners.bad[place] for k in range(len(labels))])


def fails_of(miners, place):
    return ~miners.correct[place].any(axis=2)


@given(st.integers(0, 10_000), st.integers(1, 4), st.data())
@settings(max_examples=40)
def test_the_funnel_keeps_those_that_enough_miners_fail_and_shows_no_more(seed, count, data):
    needed = data.draw(st.integers(1, count))
    miners = some_miners(seed, count)
    stages = miners.funnel(needed)
    for place in range(len(miners.pools)):
        usable, fails = usable_of(miners, place), fails_of(miners, place)
        hard = miners.usable(place) & is_hard(miners.told(place), needed)
        assert hard.tolist() == (usable & (fails.sum(axis=0) >= needed)).tolist()
        for miner in range(count):
            # An image is shown if those before it leave room for `needed` to fail.
            could = fails[:miner].sum(axis=0) + (count - miner) >= needed
            labelled = miners.pools[place].labelled
            wanted = labelled & could
            if miner:
                wanted &= usable
            assert miners.asked.get((miner, place), np.zeros(len(usable), int)).tolist() == wanted.astype(int).tolist()
    everything = sum(int(usable_of(miners, place).sum()) for place in range(len(miners.pools)))
    for miner, stage in enumerate(stages):
        assert stage.shown == stage.read + stage.failed
        assert stage.exhaustive == ZOOMS * everything
        if miner:
            assert stage.shown == stages[miner - 1].left
    assert sum(stage.unreadable for stage in stages) == sum(
        len(bad & set(np.flatnonzero(pool.labelled))) for bad, pool in zip(miners.bad, miners.pools, strict=True)
    )


def mute_somewhere(miners, seed):
    """Each miner has no answer to every fifth image or so; to the first of each pool none has one."""
    rng = np.random.default_rng(seed + 7)
    for miner in range(len(miners.models)):
        for place, pool in enumerate(miners.pools):
            miners.mute[miner, place] = {0, *np.flatnonzero(rng.random(len(pool)) < 0.2).tolist()}


@given(st.integers(0, 10_000), st.permutations(range(3)), st.integers(1, 3))
@settings(max_examples=30)
def test_a_miner_without_an_answer_is_wrong_and_its_turn_decides_nothing(seed, turns, needed):
    """An image that no miner has an answer to is unreadable; of others it costs none but the miner's own."""
    miners = some_miners(seed, 3)
    mute_somewhere(miners, seed)
    turned = some_miners(seed, 3)
    turned.correct = [right[list(turns)] for right in miners.correct]
    turned.mute = {(turns.index(miner), place): images for (miner, place), images in miners.mute.items()}
    stages = [some.funnel(needed) for some in (miners, turned)]
    for place in range(len(miners.pools)):
        found = [some.usable(place) & is_hard(some.told(place), needed) for some in (miners, turned)]
        fails = fails_of(miners, place)
        for miner in range(3):
            fails[miner, list(miners.mute[miner, place])] = True
        silent_to_all = set.intersection(*(miners.mute[miner, place] for miner in range(3)))
        expected = usable_of(miners, place) & (fails.sum(axis=0) >= needed)
        expected[list(silent_to_all)] = False
        assert found[0].tolist() == found[1].tolist() == expected.tolist()
        labelled = miners.pools[place].labelled
        broken = {image for image in silent_to_all | miners.bad[place] if labelled[image]}
        assert set(miners.unreadable(place)) == set(turned.unreadable(place)) == broken
    assert all(stage.floor <= stage.forwards for some in stages for stage in some)
    assert sum(stage.unanswered for stage in stages[0])


def test_forwards_and_their_floor_are_counted():
    miners = some_miners(3, 1, sizes=(50,), bad=0)
    (stage,) = miners.funnel(1)
    right = miners.correct[0][0][usable_of(miners, 0)]
    taken = np.where(right.any(axis=1), right.argmax(axis=1) + 1, ZOOMS)
    assert stage.forwards == taken.sum()
    assert stage.floor == np.where(right.any(axis=1), 1, ZOOMS).sum()


@given(st.integers(0, 10_000), st.integers(2, 4), st.data())
@settings(max_examples=40)
def test_without_a_miner_the_set_is_the_one_that_the_others_mine(seed, count, data):
    needed = data.draw(st.integers(1, count))
    miners = some_miners(seed, count)
    miners.funnel(needed)
    before = {key: times.copy() for key, times in miners.asked.items()}
    found = score_without(miners, needed)
    fewer = min(needed, count - 1)
    usable = np.concatenate([usable_of(miners, place) for place in range(2)])
    fails = np.concatenate([fails_of(miners, place) for place in range(2)], axis=1)[:, usable]
    wrong = ~np.concatenate([right[:, :, CROP] for right in miners.correct], axis=1)[:, usable]
    for miner, row in enumerate(found.miners):
        others = [other for other in range(count) if other != miner]
        hard = fails[others].sum(axis=0) >= fewer
        free = wrong[others].sum(axis=0) >= fewer
        assert (row.hard.n, row.hard.hits) == (hard.sum(), (hard & ~wrong[miner]).sum())
        assert (row.any_zoom.n, row.any_zoom.hits) == (hard.sum(), (hard & ~fails[miner]).sum())
        assert (row.zoom_free.n, row.zoom_free.hits) == (free.sum(), (free & ~wrong[miner]).sum())
        assert (row.all.n, row.all.hits) == (usable.sum(), (~wrong[miner]).sum())
    # 1-crop alone is shown where it is lacking: not where it was among what an image was shown, nor without a label.
    for (miner, place), cropped in miners.cropped.items():
        known = miners.outcomes[miner][place].views > CROP
        assert cropped.tolist() == (usable_of(miners, place) & ~known).astype(int).tolist()
    assert found.one_crop_forwards == sum(int(cropped.sum()) for cropped in miners.cropped.values())
    # Nothing is shown twice, and what the funnel showed is not counted again.
    assert all((times <= 1).all() for times in miners.asked.values())
    assert found.forwards == sum(
        int(miners.outcomes[miner][place].forwards[miners.asked[miner, place] > before[miner, place]].sum())
        for miner, place in miners.asked
    )


def test_an_image_that_two_of_three_miners_read_is_shown_to_no_third():
    told = np.array([[READ, READ, FAILED], [READ, UNKNOWN, FAILED], [UNKNOWN, UNKNOWN, UNKNOWN]], np.int8)
    sets = [undecided(np.delete(told, miner, axis=0), 2) for miner in range(3)]
    assert np.any(sets, axis=0).tolist() == [False, True, True]


def test_what_is_known_decides_as_every_way_to_go_on_does():
    """`can_be_hard` and `is_hard` against all that the unknown may turn out to be."""
    for needed in (1, 2, 3):
        for known in combinations([READ, FAILED, UNKNOWN] * 3, 3):
            told = np.array(known, np.int8)[:, None]
            ends = [
                sum(one == FAILED or (one == UNKNOWN and (mask >> k) & 1) for k, one in enumerate(known)) >= needed
                for mask in range(8)
            ]
            assert can_be_hard(told, needed)[0] == any(ends)
            assert is_hard(told, needed)[0] == all(ends)
