"""Cover order against greedy covers, orders by accuracy, and on studies that were made up to be like real ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from snellen.analysis.cover import greedy_cover
from snellen.mining.order import MOST_KINDS, Order, cover_order, geometry
from snellen.zoom import PAPER_GRID, paper_grid

ZOOMS = len(PAPER_GRID)


def made_up_study(images, seed, hard=0.02):
    """`correct`, bool `[images, zooms]`: objects of all sizes and places, read where the view frames them."""
    rng = np.random.default_rng(seed)
    scales = np.log2([rule.scale for rule in PAPER_GRID])
    cells = np.array([(rule.row, rule.col) for rule in PAPER_GRID])
    size = rng.normal(8.1, 0.9, (images, 1))
    place = rng.choice(3, (images, 2), p=[0.2, 0.6, 0.2])
    off = np.abs(cells[None] - place[:, None]).sum(axis=2) * np.clip((scales - 7.5), 0, 2)
    ease = rng.normal(2.5, 1.6, (images, 1))
    correct = ease - 0.5 * (scales - size) ** 2 - 0.7 * off + rng.normal(0, 0.7, (images, ZOOMS)) > 0
    correct[rng.random(images) < hard] = False
    return correct


def forwards(correct, zooms):
    """Views until the first that is right, all of them where none is: int `[images]`."""
    right = correct[:, zooms]
    return np.where(right.any(axis=1), right.argmax(axis=1) + 1, right.shape[1])


def floor(correct):
    return np.where(correct.any(axis=1), 1, correct.shape[1]).sum()


@given(arrays(bool, st.tuples(st.integers(0, 30), st.integers(1, 40))))
def test_where_all_is_certain_it_is_the_greedy_cover(correct):
    cover = greedy_cover(correct)
    order = cover_order(correct.astype(np.float32), np.ones(len(correct), np.float32))
    assert order[: len(cover)].tolist() == cover.tolist()
    assert sorted(order.tolist()) == list(range(correct.shape[1]))


def test_every_zoom_is_there_once_whatever_is_known():
    order, rng = Order(PAPER_GRID), np.random.default_rng(0)
    for _ in range(5):
        shown = rng.random((40, ZOOMS)) < rng.random()
        order.add(shown & (rng.random((40, ZOOMS)) < 0.3), shown)
        zooms = order.zooms()
        assert zooms.dtype == np.int32
        assert sorted(zooms.tolist()) == list(range(ZOOMS))


def test_the_first_zooms_known_of_nothing_spread_over_scales_and_begin_in_the_centre():
    first = [PAPER_GRID.rules[zoom] for zoom in Order(PAPER_GRID).zooms()[:10]]
    assert (first[0].row, first[0].col) == (1, 1)
    assert 192 <= first[0].scale <= 288
    assert len({rule.scale for rule in first}) > 5
    # The same for a network that is shown larger windows.
    assert Order(paper_grid(299)).zooms().tolist() == Order(PAPER_GRID).zooms().tolist()


def test_chances_of_made_up_objects_are_chances():
    chances, weights = geometry(PAPER_GRID)
    assert (chances > 0).all()
    assert (chances < 1).all()
    assert weights.sum() == pytest.approx(1)


def test_a_zoom_that_reads_what_others_do_not_comes_before_better_ones():
    """Large scales are right for 60 images, middle ones for 40 of these, small ones for the 30 others."""
    scales = np.array([rule.scale for rule in PAPER_GRID])
    correct = np.zeros((90, ZOOMS), bool)
    correct[:60, scales >= 664] = True
    correct[:40, (scales >= 320) & (scales < 600)] = True
    correct[60:, scales <= 48] = True
    first = scales[Order.learn([(correct, np.ones_like(correct))], PAPER_GRID).zooms()[:2]]
    assert first[0] >= 664
    assert first[1] <= 48


def test_what_was_heard_in_parts_counts_as_what_was_heard_at_once():
    correct = made_up_study(200, 1)
    whole = Order.learn([(correct, np.ones_like(correct))], PAPER_GRID)
    parts = Order.learn([(part, np.ones_like(part)) for part in np.array_split(correct, 7)], PAPER_GRID)
    assert whole.zooms().tolist() == parts.zooms().tolist()


def test_what_was_not_shown_is_guessed_from_images_like_it():
    """Many images were shown a small scale alone, and read; of others, shown all, most of such are not read at 1024."""
    rules = np.array([rule.scale for rule in PAPER_GRID])
    whole, few = np.zeros((40, ZOOMS), bool), np.zeros((400, ZOOMS), bool)
    whole[:20, rules <= 96] = True
    whole[20:, rules >= 900] = True
    few[:, 45] = True
    order = Order.learn([(whole, np.ones_like(whole)), (few, few)], PAPER_GRID)
    assert rules[order.zooms()[0]] <= 96
    chances, _ = order._expected()
    guessed = chances[-1] if chances[-1, 45] > 0.5 else chances[-2]
    assert guessed[rules == 64].mean() > 5 * guessed[rules == 911].mean()


def test_of_many_images_as_many_are_drawn_as_an_order_can_be_made_of_in_time():
    correct = made_up_study(6 * MOST_KINDS, 2)
    order = Order.learn([(part, np.ones_like(part)) for part in np.array_split(correct, 9)], PAPER_GRID)
    assert len(order._kinds) <= MOST_KINDS
    assert sum(order._kinds.values()) == pytest.approx(len(correct), rel=0.01)
    test = made_up_study(500, 3)
    all_of_them = cover_order(np.where(correct, 0.9, 0.02).astype(np.float32), np.ones(len(correct), np.float32))
    assert forwards(test, order.zooms()).sum() < 1.05 * forwards(test, all_of_them).sum()


@pytest.mark.parametrize("layout", ["C", "F"])
def test_images_alike_are_counted_together(layout):
    rng = np.random.default_rng(0)
    shown = rng.random((50, ZOOMS)) < 0.5
    shown, correct = np.repeat(shown, 3, axis=0), np.repeat(shown & (rng.random(shown.shape) < 0.5), 3, axis=0)
    order = Order(PAPER_GRID)
    order.add(*(np.asarray(one, order=layout) for one in (correct, shown)))
    order.add(correct[:0], shown[:0])
    order.add(correct[:2], shown[:2])
    assert sorted(order._kinds.values()) == [3.0] * 49 + [5.0]


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected two"):
        Order(PAPER_GRID).add(np.zeros((3, ZOOMS), bool), np.zeros((3, 7), bool))


def test_a_learned_order_takes_fewer_forwards_than_one_by_accuracy_and_one_learned_on_the_way_nearly_as_few():
    taken = {"learned": [], "by accuracy": [], "on the way": [], "fewest": []}
    for seed in range(6):
        known, new = made_up_study(150, seed), made_up_study(300, 100 + seed)
        order = Order.learn([(known, np.ones_like(known))], PAPER_GRID)
        taken["learned"].append(forwards(new, order.zooms()).sum())
        taken["by accuracy"].append(forwards(new, np.argsort(-known.mean(axis=0), kind="stable")).sum())
        fresh, total = Order(PAPER_GRID), 0
        for part in np.array_split(new, 30):
            zooms = fresh.zooms()
            steps = forwards(part, zooms)
            total += steps.sum()
            shown = np.zeros_like(part)
            for row, count in enumerate(steps):
                shown[row, zooms[:count]] = True
            fresh.add(part & shown, shown)
        taken["on the way"].append(total)
        taken["fewest"].append(floor(new))
    mean = {name: np.mean(found) for name, found in taken.items()}
    assert mean["learned"] < mean["by accuracy"]
    assert mean["learned"] < 1.5 * mean["fewest"]
    assert mean["on the way"] < 2.5 * mean["fewest"]
