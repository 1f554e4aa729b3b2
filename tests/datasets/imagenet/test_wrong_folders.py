"""Folders that are not the member of the ImageNet family that they are given as."""

import pytest
from imagenet_members import GOLDFISH, SHARK, STINGRAY, TENCH, labels_of, val

from snellen.datasets import open_dataset
from snellen.errors import DataError


@pytest.mark.parametrize(
    ("name", "paths", "message"),
    [
        ("imagenet-a", [f"imagenet-a/{TENCH}/a.jpg"], "lies in none of the 200 class folders of imagenet-a: is this"),
        ("imagenet-r", [f"imagenet-r/{STINGRAY}/a.jpg", "imagenet-r/x/b.jpg"], "'x/b.jpg' lies in none of the 200"),
        ("imagenet-sketch", [f"sketch/{TENCH}/a.jpg", "sketch/n99999999/b.jpg"], "'n99999999/b.jpg' lies in none of"),
        ("imagenet-v2", ["imagenet-v2/7/a.jpeg", "imagenet-v2/tench/b.jpeg"], "'tench/b.jpeg' lies in no folder 0 …"),
        ("imagenet", [f"val/{val(1)}", "val/tench.jpg"], "'tench.jpg' has no known label: expected <wnid>/tench"),
    ],
)
def test_images_that_do_not_belong(name, paths, message, lay):
    dataset = open_dataset(name, lay(*paths))
    with pytest.raises(DataError, match=message):
        labels_of(dataset)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("imagenet", "no imagenet in '.*': expected there, or in imagenet/, ILSVRC2012_img_val.tar: ILSVRC2012_val_"),
        ("imagenet-v2", "expected there, or in imagenetv2-matched-frequency-format-val/, imagenetv2-matched"),
        ("imagenet-a", "no imagenet-a in '.*': expected there, or in imagenet-a/, imagenet-a.tar: imagenet-a/<wnid>/"),
        ("imagenet-sketch", "no imagenet-sketch in .* ImageNet-Sketch.zip: sketch/<wnid>"),
        ("imagenet-c/fog/3", "no imagenet-c/fog/3 in .* weather.tar: <corruption>/<severity>/<wnid>"),
        ("objectnet", "no objectnet in .* objectnet-1.0.zip: objectnet-1.0/images/"),
        ("imagenet-hard", "no imagenet-hard in .* the Parquet files of taesiri/imagenet-hard"),
        ("imagenet-a,label=wnid", "imagenet-a has no option 'label=wnid' here: expected none"),
        ("imagenet-hard,revision=abc", "imagenet-hard has no option 'revision=abc' here: expected none"),
        ("imagenet-x", "no data set 'imagenet-x': the nearest name is"),
        ("imagenet-c", "'imagenet-c' means 95 data sets; name one"),
        ("imagenet-c/*/3", r"'imagenet-c/\*/3' means 19 data sets; name one"),
    ],
)
def test_a_root_that_does_not_hold_it(spec, message, lay):
    root = lay("cats/a.jpg", "cats/n01/b.jpg")
    with pytest.raises(DataError, match=message) as error:
        open_dataset(spec, root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "paths", "root"),
    [
        ("imagenet-sketch", [f"x/{TENCH}/{val(293)}"], "x"),
        ("imagenet-a", [f"x/{STINGRAY}/a.jpg", f"x/{STINGRAY}/{val(1)}"], "x"),
        ("imagenet-r", [f"imagenet-r/{GOLDFISH}/{val(1)}"], ""),
        ("imagenet-v2", [f"x/7/{val(1)}"], "x"),
    ],
)
def test_validation_images_are_no_other_member(name, paths, root, lay):
    with pytest.raises(DataError, match=rf"ILSVRC2012_val_.*' is a validation image of ImageNet, not one of {name}:"):
        open_dataset(name, lay(*paths) / root)


@pytest.mark.parametrize(
    ("name", "folder", "image", "other"),
    [
        ("imagenet-v2/top-images", "imagenetv2-matched-frequency-format-val", "0/a.jpeg", "imagenet-v2"),
        ("imagenet-v2", "imagenetv2-top-images-format-val", "0/a.jpeg", "imagenet-v2/top-images"),
        ("imagenet-v2", "v2/Threshold0.7", "0/a.jpeg", "imagenet-v2/threshold-0.7"),
        ("imagenet-sketch", "imagenet-r", f"{TENCH}/a.jpg", "imagenet-r"),
        ("imagenet-r", "ImageNet-Sketch", f"{GOLDFISH}/a.jpg", "imagenet-sketch"),
        ("imagenet", "imagenet_a", f"{STINGRAY}/a.jpg", "imagenet-a"),
        ("imagenet", "imagenet-c/fog/2", f"{TENCH}/{val(293)}", "imagenet-c/fog/2"),
    ],
)
def test_a_root_that_is_called_like_another_member(name, folder, image, other, lay):
    root = lay(f"{folder}/{image}")
    with pytest.raises(DataError, match=rf"no {name} in '.*': by its name it is {other}; expected in ") as error:
        open_dataset(name, root / folder)
    assert "\n" not in str(error.value)
    # What it holds under the member's own name is the member's.
    own = {"imagenet-v2/top-images": "imagenetv2-top-images"}.get(name, name)
    lay(f"{folder}/{own}/{image if name != 'imagenet-r' else f'{SHARK}/b.jpg'}")
    assert len(open_dataset(name, root / folder).items) == 1


def test_a_folder_of_corruptions_is_no_clean_set_to_corrupt(lay):
    root = lay(f"imagenet-c/fog/3/{TENCH}/{val(293)}")
    with pytest.raises(DataError, match=r"no imagenet-c/fog/3 in .*expected there, or in imagenet-c/"):
        open_dataset("imagenet-c/fog/3", root / "imagenet-c" / "fog" / "3")


@pytest.mark.parametrize("member", ["imagenet-a", "imagenet-c-made/contrast/3"])
def test_a_root_whose_spec_would_not_open_it(member, lay, tmp_path):
    root = lay(f"a,b=c/{STINGRAY}/a.jpg") / "a,b=c"
    with pytest.raises(DataError, match=r"a,b=c': a path may not hold ,WORD= here, .*; link to it$"):
        open_dataset(member, root)
    (tmp_path / "link").symlink_to(root)
    dataset = open_dataset(member, tmp_path / "link")
    assert open_dataset(dataset.spec).fingerprint == dataset.fingerprint


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("imagenet-v2", "https://github.com/modestyachts/ImageNetV2 .imagenetv2-matched-frequency.tar.gz"),
        ("imagenet-sketch", "https://github.com/HaohanWang/ImageNet-Sketch .ImageNet-Sketch.zip"),
        ("imagenet-c/fog/3", "https://zenodo.org/record/2235448 "),
        ("objectnet", "https://objectnet.dev .objectnet-1.0.zip"),
    ],
)
def test_without_a_root_and_a_copy_on_the_hub(name, where):
    with pytest.raises(
        DataError,
        match=rf"^{name} has no known Parquet copy on the Hub: get it from {where}.* give its folder as --root$",
    ):
        open_dataset(name)


def test_a_root_that_is_no_folder(tmp_path):
    with pytest.raises(DataError, match=r"nowhere' is no folder"):
        open_dataset("imagenet-a", tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"nowhere' is no folder"):
        open_dataset(f"imagenet-a@{tmp_path}/nowhere")
