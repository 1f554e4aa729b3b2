"""ImageNet-C made from clean images: the recipe, noise that repeats, and a name that is not the released set's."""

import hashlib
import io
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from imagenet_members import val
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from snellen.datasets import corrupt, open_dataset
from snellen.datasets.corrupt import corrupted, crop
from snellen.datasets.members import CORRUPTIONS
from snellen.errors import DataError
from snellen.labels import IMAGENET_1K
from snellen.zoom import render
from snellen.zoom.render import UnreadableImage, decode

VALIDATION = {1: 65, 2: 970, 293: 0}
# Corruptions that draw nothing at random.
WITHOUT_CHANCE = {
    "defocus_blur",
    "gaussian_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "saturate",
    "pixelate",
    "jpeg_compression",
}


@pytest.fixture
def clean(tmp_path, examples_dir):
    """Three clean validation images, flat."""
    root = tmp_path / "clean"
    root.mkdir()
    for number, name in zip(VALIDATION, ("fig.jpg", "koala.jpg", "bridge.jpg"), strict=True):
        (root / val(number)).write_bytes((examples_dir / name).read_bytes())
    return root


@pytest.fixture(scope="module")
def pixels(examples_dir):
    with Image.open(examples_dir / "chelsea.jpg") as image:
        return crop(image.convert("RGB"))


def decoded(data):
    return np.asarray(decode(data)).astype(int)


@pytest.mark.parametrize("size", [(300, 400), (400, 300), (256, 256), (257, 255), (224, 900), (31, 47), (500, 333)])
def test_the_crop_is_torchvisions(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(noise)
    theirs = CenterCrop(224)(Resize(256, InterpolationMode.BILINEAR)(image))
    assert (crop(image) == np.asarray(theirs)).all()


# Of the corruptions that are plain arithmetic: what they do, from the paper's released code.
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
JPEG = (25, 18, 15, 10, 7)
BLUR = (1, 2, 3, 4, 6)


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_strengths_of_plain_corruptions(severity, pixels):
    from scipy.ndimage import gaussian_filter

    scaled = pixels / 255
    mean = scaled.mean(axis=(0, 1), keepdims=True)
    contrast = np.clip((scaled - mean) * CONTRAST[severity - 1] + mean, 0, 1) * 255
    assert np.abs(corrupted(pixels, "contrast", severity, "x") - contrast).max() < 1.01
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=JPEG[severity - 1])
    with Image.open(out) as jpeg:
        assert (corrupted(pixels, "jpeg_compression", severity, "x") == np.asarray(jpeg)).all()
    sigma = BLUR[severity - 1]
    blurred = gaussian_filter(scaled, (sigma, sigma, 0), mode="nearest") * 255
    assert np.abs(corrupted(pixels, "gaussian_blur", severity, "x") - blurred).max() < 1.01


@pytest.mark.parametrize(("corruption", "scales"), [("gaussian_noise", (0.08, 0.12, 0.18, 0.26, 0.38))])
def test_strengths_of_noise(corruption, scales):
    grey = np.full((224, 224, 3), 128, np.uint8)
    for severity, scale in enumerate(scales[:3], start=1):  # beyond these too much of it is clipped
        noise = corrupted(grey, corruption, severity, "x").astype(float) - 128
        assert abs(noise.std() / 255 - scale) < 0.02 * scale


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_corruption(corruption, pixels):
    """It repeats, changes the picture, more at severity 5 than at 1, and leaves NumPy's generator as it was."""
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    made = {severity: corrupted(pixels, corruption, severity, "a") for severity in (1, 2, 3, 4, 5)}
    assert np.random.random() == expected
    assert all(one.shape == (224, 224, 3) and one.dtype == np.uint8 for one in made.values())
    again = corrupted(pixels, corruption, 3, "a")
    assert (again == made[3]).all()
    distance = [np.abs(made[severity].astype(int) - pixels).mean() for severity in (1, 5)]
    assert distance[0] > 0
    assert distance[0] < distance[1] or corruption == "elastic_transform"
    assert (corrupted(pixels, corruption, 3, "b") == made[3]).all() == (corruption in WITHOUT_CHANCE)


def test_the_same_in_another_process(pixels):
    script = (
        "import sys, hashlib, numpy as np; from snellen.datasets.corrupt import corrupted; "
        "pixels = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(224, 224, 3); "
        "print(*(hashlib.sha256(corrupted(pixels, c, 2, 'a').tobytes()).hexdigest() for c in sys.argv[1:]))"
    )
    names = ("glass_blur", "impulse_noise", "snow", "shot_noise")
    done = subprocess.run([sys.executable, "-c", script, *names], input=pixels.tobytes(), capture_output=True)
    here = [hashlib.sha256(corrupted(pixels, name, 2, "a").tobytes()).hexdigest() for name in names]
    assert done.stdout.decode().split() == here, done.stderr.decode()


def test_a_made_set(clean):
    dataset = open_dataset("imagenet-c-made/contrast/5", clean)
    source = open_dataset("imagenet", clean)
    assert (dataset.name, dataset.spec) == (
        "imagenet-c-made/contrast/5",
        f"imagenet-c-made/contrast/5,from=imagenet@{clean}",
    )
    assert [item.id for item in dataset.items] == [item.id for item in source.items]
    ids = [val(number) for number in VALIDATION]
    assert dataset.label_sets(ids, IMAGENET_1K) == [[label] for label in VALIDATION.values()]
    assert dataset.label_sets(ids, IMAGENET_1K, "real")[0] == []
    assert dataset.label_sources == source.label_sources
    assert (dataset.classes, dataset.border, list(dataset.breaks), dataset.origin(0)) == (None, 0, [], dataset.name)
    assert dataset.official == 50_000
    assert dataset.reachable()
    for index in range(3):
        data = dataset.read(index)
        assert data == dataset.read(index)
        expected = corrupted(crop(decode(source.read(index))), "contrast", 5, source.items[index].id)
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (224, 224), "RGB")
            reference = io.BytesIO()
            Image.fromarray(expected).save(reference, "JPEG", quality=85)
            with Image.open(reference) as saved:
                assert image.quantization == saved.quantization
                assert (decoded(data) == np.asarray(saved.convert("RGB"))).all()
        assert len(data) <= reference.tell()
    again = open_dataset(dataset.spec)
    assert (again.fingerprint, again.spec, again.read(1)) == (dataset.fingerprint, dataset.spec, dataset.read(1))


def test_a_root_without_the_released_folder_is_made_from_and_called_so(clean, tmp_path):
    made = open_dataset("imagenet-c/fog/3", clean)
    assert made.name == "imagenet-c-made/fog/3"
    assert made.spec == open_dataset("imagenet-c-made/fog/3", clean).spec
    above = tmp_path / "imagenet-c" / "fog" / "3" / "n01440764"
    above.mkdir(parents=True)
    (above / val(293)).write_bytes((clean / val(293)).read_bytes())
    (tmp_path / "imagenet").symlink_to(clean)
    released = open_dataset("imagenet-c/fog/3", tmp_path)
    assert released.name == "imagenet-c/fog/3"
    assert [item.id for item in released.items] == [f"n01440764/{val(293)}"]
    assert released.read(0) == (clean / val(293)).read_bytes()
    assert open_dataset("imagenet-c-made/fog/3", tmp_path).name == "imagenet-c-made/fog/3"
    assert open_dataset("imagenet-c/fog/2", tmp_path).name == "imagenet-c-made/fog/2"


def test_images_of_another_set_are_not_taken_for_the_clean_ones(clean, tmp_path):
    other = tmp_path / "imagenet-r" / "n01443537"
    other.mkdir(parents=True)
    (clean / val(1)).rename(other / "art_0.jpg")
    with pytest.raises(DataError, match="no imagenet-c/fog/3 in "):
        open_dataset("imagenet-c/fog/3", tmp_path / "imagenet-r")


def test_every_made_set_has_a_fingerprint_of_its_own(clean, monkeypatch):
    names = ["imagenet-c-made/fog/3", "imagenet-c-made/fog/4", "imagenet-c-made/snow/3"]
    prints = {open_dataset(name, clean).fingerprint for name in names} | {open_dataset("imagenet", clean).fingerprint}
    assert len(prints) == 4
    monkeypatch.setattr(corrupt, "version", lambda package: "9.9")
    assert open_dataset(names[0], clean).fingerprint not in prints


def test_made_from_another_data_set():
    dataset = open_dataset("imagenet-c-made/pixelate/2,from=examples")
    source = open_dataset("examples")
    assert (dataset.name, dataset.spec) == ("examples-c-made/pixelate/2", "imagenet-c-made/pixelate/2,from=examples")
    assert [item.id for item in dataset.items] == [item.id for item in source.items]
    ids = [item.id for item in source.items]
    assert dataset.label_sets(ids, IMAGENET_1K) == source.label_sets(ids, IMAGENET_1K)
    assert open_dataset(dataset.spec).fingerprint == dataset.fingerprint
    assert dataset.official == source.official == 0


def test_a_file_that_is_no_image_is_reported_as_in_the_clean_set(clean):
    (clean / val(2)).write_bytes(b"not an image")
    (clean / val(293)).write_bytes((clean / val(293)).read_bytes()[:2000])
    made, source = open_dataset("imagenet-c-made/fog/1", clean), open_dataset("imagenet", clean)
    for index in (1, 2):
        assert made.read(index) == source.read(index)
        with pytest.raises(UnreadableImage):
            decode(made.read(index))
    (clean / val(1)).unlink()
    with pytest.raises(FileNotFoundError):
        made.read(0)


def test_the_same_formats_are_decoded_as_everywhere():
    assert corrupt.FORMATS == render.FORMATS


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("imagenet-c-made/fogg/3", "no data set 'imagenet-c-made/fogg/3': the nearest name is 'imagenet-c-made/fog/3'"),
        ("imagenet-c-made/fog/3,from=imagenet-c-made/fog/3", "these images are corrupted already; give clean ones"),
        ("imagenet-c-made/fog/3,from=nowhere-at-all", "no data set 'nowhere-at-all'"),
        ("imagenet-c/fog/3,from=examples", "imagenet-c/fog/3 has no option 'from=examples' here"),
    ],
)
def test_what_cannot_be_made(spec, message, tmp_path):
    with pytest.raises(DataError, match=message):
        open_dataset(spec)
    with pytest.raises(DataError, match="no imagenet in '"):
        open_dataset("imagenet-c-made/fog/3", tmp_path)


def test_without_the_package(clean, monkeypatch):
    def version(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(corrupt, "version", version)
    with pytest.raises(DataError, match=r"needs the package imagecorruptions-imaug: pip install 'snellen\[corrupt\]'"):
        open_dataset("imagenet-c/fog/3", clean)


def test_a_package_that_cannot_be_loaded(pixels, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)
    with pytest.raises(DataError, match="the package imagecorruptions-imaug cannot be loaded: import of imagecorr"):
        corrupted(pixels, "fog", 1, "x")
