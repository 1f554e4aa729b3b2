"""What class an answer means."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.classifiers.vlm.matcher import fold, matcher, shown_names
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K, ClassSpace

EXACT, SYNONYMS, FUZZY = (matcher(how, IMAGENET_1K) for how in ("exact", "synonyms", "fuzzy"))

# Text, and the class it means by each of the three ways: ids of ImageNet-1k, counted in its list of WordNet ids.
CASES = [
    # name, key, index
    ("tabby", 281, 281, 281),
    ("n02123045", 281, 281, 281),
    ("281", 281, 281, 281),
    ("999", 999, 999, 999),
    ("1000", -1, -1, -1),
    ("-1", -1, -1, -1),
    ("`7`.", 7, 7, 7),
    ("3.5", -1, -1, -1),
    ("9" * 5000, -1, -1, -1),
    ("N02123045", 281, 281, 281),
    # case, punctuation, quotes, articles, underscores, space
    ("  TABBY\n", 281, 281, 281),
    ("A tabby.", 281, 281, 281),
    ("the great_white-shark!", 2, 2, 2),
    ('"golden retriever"', 207, 207, 207),
    ("**Golden Retriever**", 207, 207, 207),
    ("“golden retriever”", 207, 207, 207),
    ("jack-o’-lantern", 607, 607, 607),
    ("Saint Bernard", 247, 247, 247),
    # other words for the class
    ("tabby cat", -1, 281, 281),
    ("Tinca tinca", -1, 0, 0),
    ("tabby, tabby cat", -1, 281, 281),
    ("tabby (n02123045)", -1, 281, 281),
    # within a sentence; the longest name counts
    ("It's a tabby cat.", -1, 281, 281),
    ("The image shows a tiger cat on a rug.", -1, 282, 282),
    ("The animal is a great white shark, swimming.", -1, 2, 2),
    ("Answer: n02123045", -1, 281, 281),
    ('{"class": "tabby"}', -1, 281, 281),
    # several classes: none
    ("a tabby or a tiger cat", -1, -1, -1),
    ("tabby, tiger cat, Egyptian cat", -1, -1, -1),
    # words of several classes
    ("crane", -1, -1, -1),
    ("It's a crane.", -1, -1, -1),
    ("crane (n03126707)", 517, 517, 517),
    ("crane, that is n02012849", -1, 134, 134),
    ("Cardigan", -1, -1, -1),
    ("Cardigan Welsh corgi", -1, 264, 264),
    ("panther", -1, -1, -1),
    # the first word of one and a further one of another
    ("partridge", 86, 86, 86),
    ("a partridge in a tree", -1, 86, 86),
    ("ruffed grouse, partridge", -1, 82, 82),
    ("maillot, tank suit", 639, 639, 639),
    ("maillot (tank suit)", 639, 639, 639),
    # misspelt
    ("tabbby cat", -1, -1, 281),
    ("goldn retriever", -1, -1, 207),
    ("The image shows a goldn retriever.", -1, -1, 207),
    ("golden retrievers", -1, -1, 207),
    ("crayfsh", -1, -1, 124),
    ("cranes", -1, -1, -1),
    ("n02123046", -1, -1, -1),
    # no class at all
    ("", -1, -1, -1),
    ("…", -1, -1, -1),
    ("the", -1, -1, -1),
    ("I cannot tell what this is.", -1, -1, -1),
    ("asdf qwer", -1, -1, -1),
    # thought before it was said
    ("<think>a tench? no</think>\ntabby", 281, 281, 281),
    ("a tench? no</think>tabby", 281, 281, 281),
    ("<think>it may be a tench", -1, -1, -1),
]


@pytest.mark.parametrize(("text", "exact", "synonyms", "fuzzy"), CASES)
def test_what_an_answer_means(text, exact, synonyms, fuzzy):
    assert (EXACT(text), SYNONYMS(text), FUZZY(text)) == (exact, synonyms, fuzzy)


def test_every_shown_name_and_key_means_its_class_in_every_way():
    shown = shown_names(IMAGENET_1K)
    assert len({fold(name) for name in shown}) == 1000
    for means in (EXACT, SYNONYMS, FUZZY):
        assert [means(name) for name in shown] == list(range(1000))
        assert [means(key) for key in IMAGENET_1K.keys] == list(range(1000))


def test_every_word_means_its_class_or_none_or_the_class_it_is_the_first_word_of():
    has, first = defaultdict(set), defaultdict(set)
    for i, words in enumerate(IMAGENET_1K.synonyms):
        first[words[0].casefold()].add(i)
        for word in words:
            has[word.casefold()].add(i)
    for word, ids in has.items():
        expected = ids if len(ids) == 1 else first[word]
        assert SYNONYMS(word) == (next(iter(expected)) if len(expected) == 1 else -1), word
    assert sum(len(ids) > 1 for ids in has.values()) > 10


def test_only_classes_that_take_part_are_meant():
    means = matcher("synonyms", IMAGENET_1K, [134, 281])
    assert means("crane") == 134, "the other crane takes no part"
    assert shown_names(IMAGENET_1K, [134, 281]) == ["crane", "tabby"]
    assert means("tench") == means("0") == means("n01440764") == -1
    assert means("a tabby and a tench") == 281
    assert matcher("fuzzy", IMAGENET_1K, [134, 281])("tenchh") == -1


def test_the_threshold_decides_how_far_a_word_may_be_off():
    # 2 x 15 common letters of 15 + 16: 96.8
    assert matcher("fuzzy", IMAGENET_1K, threshold=96.7)("goldn retriever") == 207
    assert matcher("fuzzy", IMAGENET_1K, threshold=96.8)("goldn retriever") == -1


def test_classes_whose_names_are_numbers_letters_or_signs():
    digits = ClassSpace.of_names(["7", "3", "a", "the", "C++", "C"])
    means = matcher("synonyms", digits)
    assert [means(text) for text in ("7", "3.", "a", "The", "C++", "C")] == [0, 1, 2, 3, 4, 5]
    assert means("0") == 0, "an index where no class is called so"
    assert means("c") == -1
    signs = ClassSpace.of_names(["?", "!", "ü"])
    assert [matcher("fuzzy", signs)(text) for text in ("?", "!", "Ü", "u", ".")] == [0, 1, 2, 2, -1]


def test_a_name_that_is_no_words_does_not_match_everything():
    assert matcher("synonyms", ClassSpace.of_names(["???", "dog"]))("a cat") == -1


def test_a_way_that_there_is_not():
    with pytest.raises(ModelError, match="match=guess: expected exact, synonyms, fuzzy"):
        matcher("guess", IMAGENET_1K)


@given(st.text())
def test_any_text_means_one_class_or_none(text):
    for means in (EXACT, SYNONYMS, FUZZY):
        assert -1 <= means(text) < 1000
