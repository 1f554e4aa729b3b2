"""Per-class and per-origin accuracy against plain recounts, and the standard error against simulation."""

import json
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from snellen.analysis.perclass import by_origin, per_class
from snellen.labels import ClassMap

CLASSES = 6
label_sets = st.lists(
    st.tuples(st.lists(st.integers(0, CLASSES - 1), max_size=4, unique=True), st.booleans()), max_size=40
)


def recount(labels, right):
    hits, counts = defaultdict(int), defaultdict(int)
    for row, hit in zip(labels, right, strict=True):
        for label in set(row):
            counts[label] += 1
            hits[label] += hit
    return {label: (hits[label], counts[label]) for label in counts}


@given(label_sets)
def test_equals_a_recount(rows):
    labels, right = [row for row, _ in rows], [hit for _, hit in rows]
    found = per_class(np.array(right, bool), labels)
    expected = recount(labels, right)
    assert {label: (one.hits, one.n) for label, one in found.shares.items()} == expected
    assert found.classes == len(expected)
    if not expected:
        assert math.isnan(found.value)
        return
    assert found.value == pytest.approx(sum(h / n for h, n in expected.values()) / len(expected))
    assert math.isnan(found.stderr) == any(n == 1 for _, n in expected.values())
    for label, (hits, n) in expected.items():
        interval = binomtest(hits, n).proportion_ci(method="wilson")
        assert (found.shares[label].low, found.shares[label].high) == pytest.approx(tuple(interval), abs=1e-9)


@given(label_sets)
def test_under_a_class_map_its_classes_count(rows):
    """Ids 0 and 3 are one class, 5 and 1 another, 4 a third; 2 takes no part."""
    classes = ClassMap("some", ((0, 3), (5, 1), (4,)), CLASSES)
    of_id = {0: 0, 3: 0, 5: 1, 1: 1, 4: 2}
    labels, right = [row for row, _ in rows], [hit for _, hit in rows]
    found = per_class(np.array(right, bool), labels, classes)
    expected = recount([[of_id[label] for label in row if label in of_id] for row in labels], right)
    assert {label: (one.hits, one.n) for label, one in found.shares.items()} == expected


@pytest.mark.parametrize("several", [False, True])
def test_standard_error_is_what_repetition_shows(several):
    """Images drawn anew from one population: the spread of the mean is the standard error it states."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(1000):
        first = rng.choice(4, 400, p=[0.4, 0.3, 0.2, 0.1])
        second = several & (rng.random(400) < 0.5)
        labels = [[int(k), (int(k) + 1) % 4] if both else [int(k)] for k, both in zip(first, second, strict=True)]
        found.append(per_class(rng.random(400) < np.array([0.9, 0.5, 0.7, 0.2])[first], labels))
    values = np.array([one.value for one in found])
    assert np.mean([one.stderr for one in found]) == pytest.approx(values.std(), rel=0.06)
    assert np.mean([one.low <= values.mean() <= one.high for one in found]) == pytest.approx(0.95, abs=0.025)


def test_balanced_classes_with_one_label_each_have_the_accuracy():
    right = np.array([1, 1, 0, 1, 0, 0], bool)
    found = per_class(right, [[0], [0], [0], [7], [7], [7]])
    assert found.value == right.mean()
    assert found.classes == 2
    by_hand = math.sqrt((2 / 3 * 1 / 3) / 3 + (1 / 3 * 2 / 3) / 3) / 2
    assert found.stderr == pytest.approx(by_hand)


def test_json_has_no_nan():
    record = per_class(np.array([True]), [[3]]).to_json()
    assert json.loads(json.dumps(record, allow_nan=False)) == {
        "value": 1.0,
        "stderr": None,
        "low": None,
        "high": None,
        "classes": 1,
    }


@given(st.lists(st.tuples(st.sampled_from(["imagenet-a", "objectnet", "imagenet-c/fog"]), st.booleans()), max_size=30))
def test_by_origin_equals_a_recount(rows):
    found = by_origin(np.array([hit for _, hit in rows], bool), [origin for origin, _ in rows])
    assert list(found) == sorted({origin for origin, _ in rows})
    for origin, one in found.items():
        hits = [hit for where, hit in rows if where == origin]
        assert (one.hits, one.n) == (sum(hits), len(hits))
        assert (one.low, one.high) == pytest.approx(
            tuple(binomtest(one.hits, one.n).proportion_ci(method="wilson")), abs=1e-9
        )
