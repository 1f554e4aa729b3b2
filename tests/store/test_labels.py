"""Label sources as files: what people write, what Snellen writes, images without a label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import snellen
from snellen.errors import DataError
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.store.labels import encode_labels, labels_file, read_labels

# Whatever the names of images and classes are.
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@given(st.lists(words, min_size=1, max_size=5, unique=True), st.data())
def test_labels_round_trip_with_any_image_id(tmp_path_factory, ids, data):
    some = st.lists(st.integers(0, 999), min_size=1, max_size=3, unique=True)
    labels = [data.draw(some) for _ in ids]
    path = tmp_path_factory.getbasetemp() / "labels.csv"
    path.write_bytes(encode_labels(ids, labels, IMAGENET_1K))
    assert read_labels(path, ids, IMAGENET_1K) == labels
    assert read_labels(path, ids[::-1], IMAGENET_1K) == labels[::-1]


@pytest.mark.parametrize("name", ["a, b", 'a "quote"', " a ", "new\nline", "back\rspace", "1", "n01440764"])
def test_labels_round_trip_with_a_hard_class_name(tmp_path, name):
    space = ClassSpace.of_names(["other", name])
    (tmp_path / "labels.csv").write_bytes(encode_labels(["x", "y", "z"], [[1], [0], [0, 1]], space))
    assert read_labels(tmp_path / "labels.csv", ["x", "y", "z"], space) == [[1], [0], [0, 1]]


@given(
    st.lists(
        words.filter(lambda word: word.strip() and "|" not in word),
        min_size=1,
        max_size=5,
        unique_by=lambda word: word.casefold(),
    ),
    st.data(),
)
def test_labels_round_trip_with_any_class_name(tmp_path_factory, keys, data):
    space = ClassSpace.of_names(keys)
    some = st.lists(st.integers(0, len(keys) - 1), min_size=1, max_size=3, unique=True)
    labels = data.draw(st.lists(some, min_size=1, max_size=4))
    ids = [f"{k}.jpg" for k in range(len(labels))]
    path = tmp_path_factory.getbasetemp() / "labels.csv"
    path.write_bytes(encode_labels(ids, labels, space))
    assert read_labels(path, ids, space) == labels


def test_label_files_as_people_write_them(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text('image_id,labels\na,0 n01443537\n"b, with comma","1"\n"c\nline",2  3\nextra,no_such_class\n')
    assert read_labels(path, ["c\nline", "a", "b, with comma"], IMAGENET_1K) == [[2, 3], [0, 1], [1]]
    path.write_text("image_id,labels\na,great white shark|tench\nb,goldfish\n")
    assert read_labels(path, ["a", "b"], IMAGENET_1K) == [[2, 0], [1]]
    space = ClassSpace.of_names(["ripe tomato", "green tomato"])
    path.write_text("image_id,labels\na,ripe tomato\nb,Green_Tomato\n")
    assert read_labels(path, ["a", "b"], space) == [[0], [1]]


def test_a_label_file_from_a_spreadsheet(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xef\xbb\xbfimage_id,labels\r\na,0\r\nb,1\r\n")
    assert read_labels(path, ["a", "b"], IMAGENET_1K) == [[0], [1]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "no label source"),
        (b"image_id,labels\n", "no label source"),
        (b"image,label\na,0\n", "no label source"),
        (b"\x89PNG\r\n\x1a\n\xff", "cannot be read"),
        (b"image_id,labels\nb,0\n", "no row for image 'a'"),
        (b"image_id,labels\na,tenchh\n", "unknown class 'tenchh'.*nearest is 'tench'"),
        (b"image_id,labels\na,crane\n", "ambiguous"),
        (b"image_id,labels\n" + b"x" * 200_000 + b",0\na,0\n", "labels"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_label_files_that_cannot_be_used(content, message, tmp_path):
    path = tmp_path / "labels.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_labels(path, ["a"], IMAGENET_1K)


@pytest.mark.parametrize("text", ["image_id,labels\na,\nb,1\n", 'image_id,labels\n"a","  "\n"b","1"\n'])
def test_a_blank_label_is_an_empty_set(text, tmp_path):
    (tmp_path / "labels.csv").write_text(text)
    assert read_labels(tmp_path / "labels.csv", ["b", "a"], IMAGENET_1K) == [[1], []]


@pytest.mark.parametrize("top", [1, 2, 5])
def test_images_without_a_label_are_left_out(make_run, top):
    """Another label source that leaves some images out: the rows that remain, and only they, are scored."""
    made = make_run(12, bad=[4])
    run = snellen.load_run(made.path)
    rng = np.random.default_rng(1)
    labels = [[] if k % 3 == 0 else sorted(rng.choice(7, 2, replace=False).tolist()) for k in range(len(made.labels))]
    (made.path / labels_file("other")).write_bytes(encode_labels(made.image_ids, labels, made.space))
    kept = [k for k, row in enumerate(labels) if row]
    assert run.scored("other").tolist() == kept
    assert run.labels("other") == labels
    answers = [run.answers(f"id{k}") for k in range(top)]
    expected = [[any(a[row, zoom] in labels[row] for a in answers) for zoom in range(len(made.grid))] for row in kept]
    assert np.array_equal(run.correct("other", top=top), expected)
    assert len(run.correct(top=top)) == len(made.labels)


def test_a_label_source_that_is_not_there(make_run):
    made = make_run()
    (made.path / labels_file("real")).write_bytes((made.path / labels_file()).read_bytes())
    run = snellen.load_run(made.path)
    assert run.labels("real") == run.labels()
    with pytest.raises(DataError, match="no labels 'reel': the run has real; or give a CSV"):
        run.labels("reel")
