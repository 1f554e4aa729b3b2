"""The parts that suspects are found by, each against the slow way or what is known of it."""

import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest
from judged_runs import CLASSES, GRID, judged_run, world
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from snellen.mining.suspects.evidence import gather, views_of, whole
from snellen.mining.suspects.features import features, opinion_of
from snellen.mining.suspects.fit import FOLDS, learn
from snellen.mining.suspects.kinds import objects
from snellen.mining.suspects.swaps import swaps


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Twelve images and two models; the second was shown only some zooms of some images."""
    folder, made = tmp_path_factory.mktemp("judged"), world(12, seed=3)
    shown = np.random.default_rng(0).random((12, len(GRID))) < 0.4
    shown[4] = False
    labels = [[int(k)] for k in made.truth]
    runs = [
        judged_run(folder / "a", made.logits[0], labels, model="timm/a", bad=[7]),
        judged_run(folder / "b", made.logits[1], labels, model="timm/b", shown=shown, bad=[7]),
    ]
    return made, shown, runs, gather([(run, None) for run in runs])


def best_five(logits):
    """The five best classes of a view with their probabilities, best first."""
    powers = np.exp(logits.astype(np.float64))
    return [(int(k), powers[k] / powers.sum()) for k in np.argsort(-logits)[:5]]


def told(made, shown):
    """For each model and image what its views say, view by view: zoom and the five best."""
    every = np.ones_like(shown)
    return [
        {
            image: [(zoom, best_five(made.logits[model, image, zoom])) for zoom in np.flatnonzero(seen[image])]
            for image in range(12)
            if image != 7
        }
        for model, seen in enumerate((every, shown))
    ]


def test_what_views_say_is_counted_view_by_view(judged):
    made, shown, _, gathered = judged
    assert [image.image_id for image in gathered.images] == [f"{k:04d}.jpg" for k in range(12)]
    assert [image.error is None for image in gathered.images] == [k != 7 for k in range(12)]
    for judge, views in zip(gathered.judges, told(made, shown), strict=True):
        total, peak, first, seen = defaultdict(float), defaultdict(float), Counter(), Counter()
        for image, its in views.items():
            assert judge.views[image] == len(its)
            rest = np.mean([1 - sum(p for _, p in five) for _, five in its]) if its else 0
            assert judge.rest[image] == pytest.approx(rest, abs=1e-5)
            for zoom, five in its:
                first[image, five[0][0]] += 1
                if five[0][1] >= 0.5 and GRID.rules[zoom].scale > 224:
                    seen[image, five[0][0], 3 * GRID.rules[zoom].row + GRID.rules[zoom].col] += 1
                for k, p in five:
                    total[image, k] += p
                    peak[image, k] = max(peak[image, k], p)
        pairs = judge.pairs
        assert judge.zoomed.tolist() == [
            [
                sum(
                    GRID.rules[zoom].scale > 224 and 3 * GRID.rules[zoom].row + GRID.rules[zoom].col == anchor
                    for zoom in its
                )
                for anchor in range(9)
            ]
            for its in ([zoom for zoom, _ in views.get(image, [])] for image in range(12))
        ]
        spots = {
            (*divmod(spot // 9, CLASSES), spot % 9): count
            for spot, count in zip(pairs.spots.tolist(), pairs.sure.tolist(), strict=True)
        }
        assert spots == dict(seen)
        assert pairs.spots.tolist() == sorted(pairs.spots.tolist())
        assert pairs.keys.tolist() == sorted(image * CLASSES + k for image, k in total)
        for place, key in enumerate(pairs.keys.tolist()):
            pair = divmod(key, CLASSES)
            assert pairs.total[place] == pytest.approx(total[pair], rel=1e-4)
            assert pairs.peak[place] == pytest.approx(peak[pair], rel=1e-4)
            assert pairs.first[place] == first[pair]
    counts = views_of(gathered.judges[0], CLASSES, np.tile([3, -1], (12, 1)))
    assert counts[:, 1].sum() == 0
    assert counts[:, 0].tolist() == [sum(f[0][0] == 3 for _, f in told(made, shown)[0].get(k, [])) for k in range(12)]


def test_only_what_a_study_showed_is_whole(judged):
    _, _, runs, gathered = judged
    assert not whole(gathered)[[k for k in range(12) if k not in (4, 7)]].any()
    assert whole(gathered)[4]  # the second model was never shown it
    alone = gather([(runs[0], None)])
    assert whole(alone).tolist() == [k != 7 for k in range(12)]


def test_features_by_their_definition(judged):
    made, shown, _, gathered = judged
    opinion = opinion_of(gathered)
    mean, peak, rest = np.zeros((3, 12, CLASSES))
    for image in range(12):
        judges = [views[image] for views in told(made, shown) if views.get(image)]
        for its in judges:
            for k in range(CLASSES):
                given = [dict(five).get(k, 0) for _, five in its]
                mean[image, k] += np.mean(given) / len(judges)
                peak[image, k] += max(given) / len(judges)
            rest[image] += np.mean([1 - sum(p for _, p in five) for _, five in its]) / len(judges) / CLASSES
    labels = [(int(made.truth[k]), int(made.truth[k] + 5) % CLASSES) if k % 2 else (k,) for k in range(12)]
    images = np.array([k for k in range(12) if k != 7])
    found = features(opinion, images, [labels[k] for k in images])
    for row, image in zip(found, images.tolist(), strict=True):
        own = max(labels[image], key=lambda k: mean[image, k])
        rival = max((k for k in range(CLASSES) if k not in labels[image]), key=lambda k: mean[image, k])
        few = rest[image, 0] + 1e-4
        expected = [
            np.log((mean[image, own] + few) / (mean[image, rival] + few)),
            np.log(peak[image, own] + few),
        ]
        np.testing.assert_allclose(row, expected, atol=2e-3)
    marked = np.delete(np.where(mean > 1 / CLASSES, mean, 0), 2, axis=0)
    norms = np.sqrt((marked**2).sum(axis=0))
    for a, b in itertools.product(range(CLASSES), range(CLASSES)):
        cosine = marked[:, a] @ marked[:, b] / (norms[a] * norms[b]) if norms[a] and norms[b] else 0
        assert opinion.likeness(np.array([a]), np.array([b]), 2)[0] == pytest.approx(cosine, abs=5e-3)


def test_swapped_labels_are_those_of_others_or_any():
    rng = np.random.default_rng(0)
    labels = [(k,) for k in rng.integers(0, 4, 200).tolist()] + [(1, 2)] * 20
    drawn = swaps(labels, 600, np.arange(50), rng)
    for own, given in zip(labels, drawn, strict=True):
        assert not any(set(own) & set(one) for one in given)
        assert set(given[::2]) <= set(labels)
        assert {len(one) for one in given[1::2]} == {len(own)}
    # As often as they are there: from image 0's point of view.
    others = Counter(one for one in labels if not set(one) & set(labels[0]))
    for one, count in others.items():
        expected = count / others.total()
        share = drawn[0][::2].count(one) / 300
        assert share == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 300))
    assert {one[0] for one in drawn[0][1::2]} == set(range(50)) - set(labels[0])


def test_labels_of_one_class_are_swapped_for_classes_that_take_part():
    given = swaps([(1,), (1,)], 400, np.array([0, 1, 3, 4]), np.random.default_rng(0))
    assert {one for row in given for one in row} == {(0,), (3,), (4,)}
    assert swaps([(0, 1, 2)], 1, np.arange(4), np.random.default_rng(0)) == [[(3,)]]


def mixture(images, rate, rng):
    """Features of labels of which a share is wrong, and of swapped ones: Gaussians, so that the log-odds are linear."""
    wrong = rng.random(images) < rate

    def rows(kind):
        return np.where(kind[..., None], [-2.0, -1.0], [1.0, 1.0]) + rng.normal(size=(*kind.shape, 2))

    return rows(wrong), wrong, rows(np.ones((images, 5), bool))


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_the_rate_and_the_odds_are_found(rate):
    rng = np.random.default_rng(int(1000 * rate))
    data, wrong, swapped = mixture(4000, rate, rng)
    fold = rng.permutation(len(data)) % FOLDS
    model = learn(data, fold, swapped, np.zeros(3), 1.0)
    assert model.rate == pytest.approx(wrong.mean(), abs=0.012)
    # The odds of two Gaussians of unit variance: weights are the difference of means.
    np.testing.assert_allclose(model.weights.mean(axis=0), [-3, -2, -1.5], atol=0.45)
    true = expit(data @ [-3, -2] - 1.5 + logit(rate))
    assert np.abs(model.score(data, fold) - true).mean() < 0.012
    assert model.score(data, fold).mean() == pytest.approx(wrong.mean(), abs=0.012)


def test_with_nothing_wrong_it_is_a_logistic_regression():
    rng = np.random.default_rng(1)
    data, _, swapped = mixture(3000, 0.0, rng)
    model = learn(data, np.arange(3000) % FOLDS, swapped, np.zeros(3), 1e-6)
    rows = np.concatenate([data, swapped.reshape(-1, 2)])
    kind = np.repeat([0, 1], [3000, 15000])
    plain = LogisticRegression(C=1e6, class_weight={0: 1.0, 1: 0.2}).fit(rows, kind)
    np.testing.assert_allclose(model.weights.mean(axis=0)[:2], plain.coef_[0], rtol=0.03)
    assert model.rate < 0.005


def test_no_image_is_judged_by_a_model_that_saw_it():
    rng = np.random.default_rng(2)
    data, _, swapped = mixture(500, 0.1, rng)
    fold = np.arange(500) % FOLDS
    before = learn(data, fold, swapped, np.zeros(3), 1.0)
    changed = data.copy()
    changed[fold == 2] = 50 * rng.normal(size=(100, 2))
    after = learn(changed, fold, np.where((fold == 2)[:, None, None], 9.0, swapped), np.zeros(3), 1.0)
    assert not np.allclose(after.weights[0], before.weights[0], atol=0.1)
    np.testing.assert_array_equal(after.weights[2], before.weights[2])


def test_objects_are_classes_that_different_views_are_sure_of(tmp_path):
    """Image 0: class 1 on the left, class 2 on the right. 1: classes that images are often taken for both. 2: one."""
    logits = np.zeros((60, len(GRID), CLASSES), np.float32)
    left = np.array([rule.col < 2 for rule in GRID])
    logits[0, left, 1], logits[0, ~left, 2] = 8, 8
    logits[1, left, 4], logits[1, ~left, 5] = 8, 8
    logits[2, :, 6] = 8
    logits[3, left, 1], logits[3, ~left, 2] = 2.5, 2.5  # nowhere sure
    logits[10:20, :, 4], logits[10:20, :, 5] = 8, 8
    logits[4, ::2, 7], logits[4, 1::2, 8] = 8, 8  # by turns, everywhere
    logits[20:40, :, 1], logits[40:60, :, 2] = 8, 8
    run = judged_run(tmp_path / "run", logits, [[1]] * 60)
    gathered = gather([(run, None)])
    found = objects(gathered, opinion_of(gathered))
    assert set(found) == {0}
    assert set(found[0]) == {1, 2}
