"""What is sent for an image file."""

import io

import numpy as np
import pytest
from PIL import Image
from vlm_asking import image_file

from snellen.classifiers.vlm.picture import picture
from snellen.zoom.render import UnreadableImage, decode


def jpeg_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return image_file(1, form="JPEG", exif=exif.tobytes())


AS_IS = [image_file(), image_file(form="JPEG"), image_file(form="JPEG", mode="L"), image_file(size=(1024, 7))]
SAME_PIXELS = [
    image_file(form="WEBP"),
    image_file(form="BMP"),
    image_file(form="GIF", mode="P"),
    image_file(form="TIFF"),
    image_file(form="JPEG", mode="CMYK"),
    image_file(mode="RGBA"),
    image_file(mode="P"),
    image_file(mode="1"),
    jpeg_turned(),
]


@pytest.mark.parametrize("data", AS_IS)
def test_plain_small_files_are_sent_as_they_are(data):
    sent = picture(data, 1024)
    assert sent.data == data
    assert sent.url.startswith(f"data:{sent.mime};base64,")


@pytest.mark.parametrize("data", SAME_PIXELS)
def test_other_small_files_are_sent_as_png_with_the_same_pixels(data):
    sent = picture(data, 1024)
    assert sent.mime == "image/png"
    assert sent.data[:4] == b"\x89PNG"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent.data))), np.asarray(decode(data)))
    assert picture(data, 1024) == sent


@pytest.mark.parametrize(
    ("size", "expected"), [((1025, 300), (1024, 300)), ((1200, 800), (1024, 683)), ((2, 4096), (1, 1024))]
)
def test_large_images_are_shrunk(size, expected):
    data = image_file(size=size)
    sent = picture(data, 1024)
    assert (sent.mime, sent.width, sent.height) == ("image/jpeg", *size)
    shrunk = Image.open(io.BytesIO(sent.data))
    assert shrunk.size == expected
    right = np.asarray(decode(data).resize(expected, Image.Resampling.BICUBIC), np.float64)
    assert np.abs(np.asarray(shrunk, np.float64) - right).mean() < 6
    assert picture(data, 1024).data == sent.data


def test_a_border_is_cut():
    data = image_file(size=(30, 20))
    sent = picture(data, 1024, border=2)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent.data))), np.asarray(decode(data))[2:-2, 2:-2])
    assert (sent.width, sent.height) == (30, 20)
    with pytest.raises(UnreadableImage, match="border"):
        picture(image_file(size=(30, 4)), 1024, border=2)
