"""Finding classes by what people call them, against timm's own lists."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.errors import DataError
from snellen.labels import IMAGENET_1K, ClassSpace

# Read as files: timm itself would import torch.
TIMM = Path(find_spec("timm").submodule_search_locations[0]) / "data" / "_info"
WNIDS = (TIMM / "imagenet_synsets.txt").read_text().split()
LEMMAS = dict(
    line.split("\t") for line in (TIMM / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
)
AMBIGUOUS = {"crane": (134, 517), "maillot": (638, 639)}


def test_imagenet_is_timms():
    assert list(IMAGENET_1K.keys) == WNIDS
    assert len(IMAGENET_1K) == 1000


def test_imagenet_names_are_wordnets():
    for wnid, words in zip(IMAGENET_1K.keys, IMAGENET_1K.synonyms, strict=True):
        known = re.split(r",\s*", LEMMAS[wnid])
        assert [w.casefold() for w in words] == [w.casefold() for w in known], wnid


def test_every_word_finds_its_class_or_says_it_is_ambiguous():
    meant = {}
    for i, wnid in enumerate(WNIDS):
        for word in re.split(r",\s*", LEMMAS[wnid]):
            meant.setdefault(word.casefold(), set()).add(i)
    shared = {word: tuple(sorted(ids)) for word, ids in meant.items() if len(ids) > 1}
    assert AMBIGUOUS.items() <= shared.items()
    for word, ids in meant.items():
        for spelling in (word, word.upper(), word.replace(" ", "_"), f" {word.title()}_"):
            if word in shared:
                with pytest.raises(DataError, match="ambiguous") as error:
                    IMAGENET_1K.find(spelling)
                assert all(WNIDS[i] in str(error.value) for i in ids)
            else:
                assert {IMAGENET_1K.find(spelling)} == ids


def test_every_key_and_index_finds_its_class():
    for i, wnid in enumerate(WNIDS):
        assert IMAGENET_1K.find(wnid) == IMAGENET_1K.find(wnid.upper()) == IMAGENET_1K.find(str(i)) == i


@pytest.mark.parametrize(
    "word", ["", " ", "1000", "-1", "1.0", "+1", "٣", "²", "n99999999", "no such thing", "tench,", "train"]
)
def test_what_means_nothing(word):
    assert IMAGENET_1K.find(word) is None


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("tenche", "'tench' (n01440764)"),
        ("Golden_Retreiver", "'golden retriever' (n02099601)"),
        ("koalla", "'koala' (n01882714)"),
        ("n0144076", "'n01440764'"),
    ],
)
def test_an_unknown_word_is_told_the_nearest(word, nearest):
    error = IMAGENET_1K.unknown(word)
    assert isinstance(error, DataError)
    assert str(error).endswith(f"the nearest is {nearest}")
    assert repr(word) in str(error)
    assert "imagenet-1k (1000 classes)" in str(error)


def test_an_unknown_word_near_nothing_is_told_what_to_give():
    assert str(IMAGENET_1K.unknown("xqzw")).endswith("give a key, an index or a name")


def test_names_are_unique_and_readable():
    assert len(set(IMAGENET_1K.names)) == 1000
    assert IMAGENET_1K.names[0] == "tench"
    assert [IMAGENET_1K.names[i] for i in AMBIGUOUS["crane"]] == ["crane (n02012849)", "crane (n03126707)"]
    for name, wnid in zip(IMAGENET_1K.names, WNIDS, strict=True):
        assert name in (first := LEMMAS[wnid].split(",")[0], f"{first} ({wnid})")


def test_custom_space():
    space = ClassSpace.of_names(["Ripe Tomato", "green_tomato", "7", "0"], "tomatoes")
    assert (space.name, len(space), space.names) == ("tomatoes", 4, ("Ripe Tomato", "green_tomato", "7", "0"))
    found = {"ripe tomato": 0, "ripe_tomato": 0, "Green Tomato": 1, "1": 1, "7": 2, "0": 3, "3": 3, "4": None}
    assert {word: space.find(word) for word in found} == found
    assert str(space.unknown("ripe tomatoe")).endswith(
        "in tomatoes (4 classes): the nearest is 'ripe tomato' (Ripe Tomato)"
    )


def test_names_that_differ_in_case_only_are_told_apart_by_it():
    space = ClassSpace.of_names(["Turkey", "turkey", "a b", "a_b"])
    assert [space.find(word) for word in ("Turkey", "turkey", "a b", "a_b")] == [0, 1, 2, 3]
    with pytest.raises(DataError, match=r"ambiguous: it may be Turkey .* or turkey"):
        space.find("TURKEY")


@pytest.mark.parametrize("name", ["a|b", " ", ""])
def test_a_name_that_cannot_stand_in_a_label_file_is_refused(name):
    with pytest.raises(DataError, match="may not be blank or hold"):
        ClassSpace.of_names(["cat", name])


names_of_classes = st.text(st.characters(codec="utf-8", exclude_characters="|"), min_size=1).filter(str.strip)


@given(st.lists(names_of_classes, unique=True, max_size=12))
def test_every_custom_name_finds_itself(names):
    space = ClassSpace.of_names(names)
    assert [space.find(name) for name in names] == list(range(len(names)))


def test_names_given_twice_are_refused():
    with pytest.raises(DataError, match="'cat' is given 2 times"):
        ClassSpace.of_names(["cat", "dog", "cat"])


def test_imagenets_keys_are_imagenet_in_its_order_only():
    assert ClassSpace.of_names(WNIDS) is IMAGENET_1K
    assert ClassSpace.of_names(WNIDS[::-1]) is not IMAGENET_1K
    assert ClassSpace.of_names(WNIDS[::-1]).find(WNIDS[0]) == 999


def test_fingerprint_is_of_the_keys_in_order():
    spaces = [["a", "b"], ["b", "a"], ["a"], ["ab"], ["a", "b", "c"]]
    assert len({ClassSpace.of_names(keys).fingerprint for keys in spaces}) == len(spaces)
    assert ClassSpace.of_names(["a", "b"], "x").fingerprint == ClassSpace.of_names(("a", "b"), "y").fingerprint
