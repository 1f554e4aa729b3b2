"""The scoring rule against a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.labels import correct_by_labels

CLASSES = 6


@st.composite
def answers_and_labels(draw):
    images = draw(st.integers(0, 7))
    shape = (images, *draw(st.lists(st.integers(0, 4), max_size=2)))
    flat = draw(st.lists(st.integers(-1, CLASSES - 1), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    labels = draw(st.lists(st.lists(st.integers(0, CLASSES - 1), max_size=4), min_size=images, max_size=images))
    return np.array(flat, np.int32).reshape(shape), labels


@given(answers_and_labels())
def test_right_is_any_of_the_labels(case):
    ids, labels = case
    correct = correct_by_labels(ids, labels, CLASSES)
    assert (correct.dtype, correct.shape) == (bool, ids.shape)
    for place in np.ndindex(ids.shape):
        assert correct[place] == (ids[place] >= 0 and ids[place] in labels[place[0]])


def test_no_answer_is_never_right():
    labels = [[CLASSES - 1], list(range(CLASSES)), []]
    assert not correct_by_labels(np.full((3, 5), -1, np.int32), labels, CLASSES).any()


def test_imagenets_last_class():
    ids = np.array([[999, 998, 0, -1]], np.int32)
    assert correct_by_labels(ids, [[999, 0]], 1000).tolist() == [[True, False, True, False]]


@pytest.mark.parametrize("label", [-1, CLASSES, 999])
def test_labels_outside_the_class_space_are_refused(label):
    with pytest.raises(ValueError, match=rf"labels must lie in 0 … {CLASSES - 1}, got .*{label}"):
        correct_by_labels(np.zeros((2, 1), np.int32), [[0], [2, label]], CLASSES)


@pytest.mark.parametrize("labels", [[], [[0]], [[0]] * 3])
def test_as_many_label_sets_as_rows(labels):
    with pytest.raises(ValueError, match=f"2 rows of answers but {len(labels)} label sets"):
        correct_by_labels(np.zeros((2, 1), np.int32), labels, CLASSES)
