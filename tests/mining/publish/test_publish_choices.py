"""What is published and what is asked: undecided images, duplicates, licences."""

import pytest
from hard_set import MadeUpImage, images_of, verdict_on, write_hard_set

from snellen.errors import DataError, UsageError
from snellen.labels import IMAGENET_1K
from snellen.mining.hardset import read
from snellen.mining.log import append
from snellen.mining.mined import read_rows
from snellen.mining.publish.licences import licences_of
from snellen.mining.publish.rows import CONTAMINATED, DROPPED, DUPLICATE, UNDECIDED, row_of, select


def twins(images, *clusters):
    """Rows of duplicates.parquet: clusters of numbers, the first kept; -1: an image of the reference."""
    rows = []
    for number, cluster in enumerate(clusters):
        for place, k in enumerate(cluster):
            own = (
                {"id": images[k].id}
                if k >= 0
                else {"id": f"{number:016x}", "image_id": "r", "origin": "r", "reference": True}
            )
            rows.append({"cluster": number, "kept": place == 0, "kind": None, "score": None, "twin": None, **own})
    return rows


def chosen(hard, undecided=None, copies="drop"):
    return select(read(hard), read_rows(hard, "duplicates") or (), undecided, copies)


def test_of_undecided_images_a_choice_is_asked(tmp_path):
    images = images_of(6)
    hard = write_hard_set(tmp_path / "hard", images, duplicates=twins(images, (0, 5)))
    said = [verdict_on(images[0]), verdict_on(images[1], "drop", seq=1), verdict_on(images[2], seq=2)]
    append(hard, [*said, verdict_on(images[5], seq=3)])
    append(hard, [verdict_on(images[2], "drop", reviewer="bob", client=2)])
    with pytest.raises(UsageError) as told:
        chosen(hard)
    text = str(told.value)
    assert text.startswith(
        "3 of 6 images are undecided, 1 of them in conflict; 1 are duplicates of others and are left out"
    )
    assert "--undecided keep or --undecided drop" in text
    assert "\n" not in text
    kept, dropped = chosen(hard, "keep"), chosen(hard, "drop")
    assert [image.mined.id for image in kept.images] == [images[k].id for k in (0, 2, 3, 4)]
    assert [image.mined.id for image in dropped.images] == [images[0].id]
    assert kept.left_out == {images[1].id: DROPPED, images[5].id: DUPLICATE}
    assert [dropped.left_out[images[k].id] for k in (2, 3, 4)] == [UNDECIDED] * 3
    assert len(chosen(hard, "keep", "keep").images) == 5


def test_without_undecided_images_nothing_is_asked(tmp_path):
    images = images_of(2)
    hard = write_hard_set(tmp_path / "hard", images)
    append(hard, [verdict_on(image, seq=k) for k, image in enumerate(images)])
    assert len(chosen(hard).images) == 2


@pytest.mark.parametrize(
    ("clusters", "dropped", "left"),
    [
        ([(0, 1, 2)], (), {0, 3, 4}),
        ([(0, 1, 2)], (0,), {1, 3, 4}),  # the kept one was dropped in the review: the next stays
        ([(0, 1), (3, 2)], (), {0, 3, 4}),
        ([(-1, 0, 1)], (), {2, 3, 4}),  # the training set has it
        ([], (4,), {0, 1, 2, 3}),
    ],
)
def test_of_each_cluster_one_stays(clusters, dropped, left, tmp_path):
    images = images_of(5)
    hard = write_hard_set(tmp_path / "hard", images, duplicates=twins(images, *clusters))
    if dropped:
        append(hard, [verdict_on(images[k], "drop", seq=k) for k in dropped])
    assert {image.mined.id for image in chosen(hard, "keep").images} == {images[k].id for k in left}


def test_nothing_left_is_an_error(tmp_path):
    images = images_of(2)
    hard = write_hard_set(tmp_path / "hard", images)
    append(hard, [verdict_on(images[0], "drop")])
    with pytest.raises(UsageError, match=r"no image of .* is left to publish: 1 dropped in the review, 1 undecided"):
        chosen(hard, "drop")
    with pytest.raises(UsageError, match="holds no image: its miners read all of them"):
        chosen(write_hard_set(tmp_path / "none", []))


def test_licences_are_given_or_stated(tmp_path):
    origins = {"photos": 3, "imagenet-a": 2, "ImageNet_Sketch": 1}
    file = tmp_path / "licences.txt"
    file.write_text("# ours\nphotos = CC-BY-SA-4.0\n\nnot-here=MIT\n")
    found = licences_of(origins, [str(file), "imagenet-a=Apache-2.0"], ["imagenet-sketch@/data/x"])
    assert {origin: one.text for origin, one in found.items()} == {
        "photos": "CC-BY-SA-4.0",
        "imagenet-a": "Apache-2.0",
        "ImageNet_Sketch": "MIT",
    }
    assert [found[origin].of_the_hub for origin in origins] == ["cc-by-sa-4.0", "apache-2.0", "mit"]
    assert "ImageNet-Sketch states it" in found["ImageNet_Sketch"].source


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], r"no licence for 'photos' \(3 images\): give --licence photos=SPDX"),
        (["photos="], "--licence 'photos=': expected ORIGIN=SPDX"),
        (["=MIT"], "expected ORIGIN=SPDX"),
        (["photos=a licence of mine"], "expected ORIGIN=SPDX"),
        (["photos=CC-BY-4"], "SPDX knows no 'CC-BY-4'; did you mean CC-BY-4.0"),
        (["photo=MIT"], "'photo=MIT': no image comes from there, but from 'photos'"),
        (["photos=MIT", "photos=CC0-1.0"], "'photos' has two: MIT and CC0-1.0"),
        (["nowhere.txt"], "'nowhere.txt' is neither ORIGIN=SPDX nor a file of such lines"),
    ],
)
def test_a_licence_that_is_none_is_one_line(given, words):
    with pytest.raises(UsageError, match=words) as told:
        licences_of({"photos": 3}, given)
    assert "\n" not in str(told.value)


def test_a_line_of_a_file_is_named(tmp_path):
    (tmp_path / "l").write_text("photos=MIT\nphotos\n")
    with pytest.raises(UsageError, match=r"l, line 2: 'photos': expected ORIGIN=SPDX"):
        licences_of({"photos": 3}, [str(tmp_path / "l")])


def test_of_duplicates_one_that_people_decided_on_stays(tmp_path):
    """The search keeps the first, whose label is wrong; its copy was relabelled."""
    images = images_of(5)
    hard = write_hard_set(tmp_path / "hard", images, duplicates=twins(images, (0, 1), (-1, 2), (3, 4)))
    append(hard, [verdict_on(images[1], "relabel", "n01484850")])
    chosen_now = chosen(hard, "keep")
    assert [image.mined.id for image in chosen_now.images] == [images[1].id, images[3].id]
    assert chosen_now.left_out == {images[0].id: DUPLICATE, images[2].id: CONTAMINATED, images[4].id: DUPLICATE}
    assert chosen_now.at_odds == ()
    with pytest.raises(UsageError, match="1 of 5 images are undecided"):
        chosen(hard)  # of 0, 2 and 4 nothing has to be said
    # Both were decided on, and differ.
    append(hard, [verdict_on(images[0], "keep", seq=1)])
    assert chosen(hard, "keep").at_odds == (images[0].id,)


@pytest.mark.parametrize(
    ("labels", "relabelled", "shown"), [([1], False, True), ([1], True, False), ([2], True, True), ([2], False, False)]
)
def test_a_doubt_is_of_the_label_that_is_published(labels, relabelled, shown, tmp_path):
    images = [MadeUpImage("a/0.jpg", (1,))]
    hard = write_hard_set(tmp_path / "hard", images)
    if relabelled:
        append(hard, [verdict_on(images[0], "relabel", IMAGENET_1K.keys[2])])
    (image,) = chosen(hard, "keep").images
    row = row_of(image, IMAGENET_1K, {"kind": "wrong", "score": 0.5, "proposed": [9], "labels": labels})
    doubt = (row["suspect"], row["suspect_score"], row["suspect_label"])
    assert doubt == (("wrong", 0.5, [9]) if shown else (None, None, []))
    with pytest.raises(DataError, match="outside 0 … 999; run `snellen suspects` again"):
        row_of(image, IMAGENET_1K, {"kind": "wrong", "score": 0.5, "proposed": [1000], "labels": labels})


def test_a_folder_that_is_called_like_a_known_set_has_no_licence_of_it():
    with pytest.raises(UsageError, match="no licence for 'imagenet-a'"):
        licences_of({"imagenet-a": 3}, [], ["/home/me/imagenet-a", "imagenet-sketch"])
    for source in ("imagenet-a@/data/a", "ImageNet_A", "hub/someone/hard"):
        assert licences_of({"imagenet-a": 3}, [], [source])["imagenet-a"].text


def test_licences_as_they_are_written(tmp_path):
    """Of a source that has no image left, in any spelling, in a file whose name has a =."""
    found = licences_of({"photos": 3}, ["photos=cc-by-4.0", "gone=MIT"], (), {"photos", "gone"})
    assert {origin: one.text for origin, one in found.items()} == {"photos": "CC-BY-4.0"}
    (tmp_path / "a=b").write_text("photos=pddl\n")
    assert licences_of({"photos": 3}, [str(tmp_path / "a=b")])["photos"].of_the_hub == "pddl"
    assert licences_of({"photos": 3}, ["photos=LicenseRef-mine"])["photos"].of_the_hub == "other"
