"""What is published and what is asked: undecided images, duplicates, licences."""

import pytest
from hard_set import images_of, verdict_on, write_hard_set

from snellen.errors import UsageError
from snellen.mining.hardset import read
from snellen.mining.log import append
from snellen.mining.mined import read_rows
from snellen.mining.publish_licences import licences_of
from snellen.mining.publish_rows import DROPPED, DUPLICATE, UNDECIDED, select, without_folders


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
    found = licences_of(origins, [str(file), "imagenet-a=Apache-2.0"])
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


def test_no_folder_of_this_machine_is_published():
    text = "timm/x@/home/me/models/w.safetensors,mean=0.5"
    assert without_folders(text) == "timm/x@w.safetensors,mean=0.5"
    assert without_folders("/home/me/pets.py:tiny") == "pets.py:tiny"
    assert without_folders("snellen mine ~/a/b './x y' s3://bucket/c d/e") == "snellen mine b './x y' s3://bucket/c d/e"
