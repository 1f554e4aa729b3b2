"""Class spaces of data sets inside a model's head."""

import json

import numpy as np
import pytest

from snellen.errors import DataError
from snellen.labels import IMAGENET_1K, ClassMap, ClassSpace


def test_the_classes_of_ids():
    space = ClassSpace.of_names(["cat", "dog", "fox", "owl", "eel"])
    classes = ClassMap.of("pets", [["owl"], ["dog", "fox"]], space)
    assert classes.ids == ((3,), (1, 2))
    assert classes.of_id.tolist() == [-1, 1, 1, 0, -1]
    assert classes.taking_part.tolist() == [1, 2, 3]
    assert classes.members.tolist() == [[3, -1], [1, 2]]
    assert classes.many_to_one
    again = ClassMap.from_json(json.loads(json.dumps(classes.to_json())))
    assert again == classes
    assert again.fingerprint == classes.fingerprint
    assert ClassMap.of("pets", [["owl"], ["dog"], ["fox"]], space).fingerprint != classes.fingerprint


def test_wordnet_ids_of_imagenet():
    keys = [[IMAGENET_1K.keys[k]] for k in (999, 0, 500)]
    classes = ClassMap.of("three", keys, IMAGENET_1K)
    assert classes.ids == ((999,), (0,), (500,))
    assert not classes.many_to_one
    assert np.flatnonzero(classes.of_id >= 0).tolist() == [0, 500, 999]


def test_a_head_that_lacks_classes_says_which():
    space = ClassSpace.of_names(["cat", "dog"], "two-kinds")
    with pytest.raises(DataError, match=r"zoo has classes that this model's head lacks \(2, for example 'fox'\)"):
        ClassMap.of("zoo", [["cat"], ["fox"], ["owl"]], space)


@pytest.mark.parametrize("classes", [[["cat"], ["dog", "0"]], [["dog"], ["cat", "cat"]]])
def test_an_id_in_two_classes_costs_one_line(classes):
    space = ClassSpace.of_names(["cat", "dog"])
    with pytest.raises(DataError, match=r"zoo gives the model's class 'cat' 2 times: expected once") as error:
        ClassMap.of("zoo", classes, space)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ids", [((0, 1), (1,)), ((),), ((5,),), ((-1,),)])
def test_maps_that_are_none(ids):
    with pytest.raises(ValueError, match="every class needs ids"):
        ClassMap("odd", ids, 5)
