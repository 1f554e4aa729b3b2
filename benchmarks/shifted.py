"""A copy of a folder of photographs in which the subject is small, off-centre and blurred, so that framing matters."""

import argparse
import hashlib
from pathlib import Path

from PIL import Image, ImageFilter

from snellen.datasets import open_dataset
from snellen.zoom.render import decode

BLUR = 4
GREY = (124, 116, 104)  # ImageNet's mean colour


def shifted(image: Image.Image, name: str) -> Image.Image:
    """The image at half its width and height on a grey canvas, off-centre, blurred over 4 pixels.

    The canvas is twice as wide and high as what is pasted, so as large as the image was. The corner that it lies
    towards comes from the name: its edges are an eighth and three eighths of the canvas away from the canvas's own.
    Of the blurred copy each pixel is the mean of 4 × 4 (Pillow's box filter, whose radius counts from the middle).
    """
    width, height = image.size
    half = image.resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (2 * half.width, 2 * half.height), GREY)
    corner = hashlib.sha256(name.encode()).digest()[0] % 4
    across, down = 1 + 2 * (corner % 2), 1 + 2 * (corner // 2)
    canvas.paste(half, (canvas.width * across // 8, canvas.height * down // 8))
    return canvas.filter(ImageFilter.BoxBlur((BLUR - 1) / 2))


def copy_shifted(data: str, target: Path) -> Path:
    """Write the shifted copy of a folder DIR/<class>/<image> as PNG files under `target`; what is there is kept."""
    dataset = open_dataset(data)
    for number, item in enumerate(dataset.items):
        path = (target / item.id).with_suffix(".png")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shifted(decode(dataset.read(number)), item.id).save(path)
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a folder DIR/<class>/<image>")
    parser.add_argument("target", type=Path, help="where the copy is written")
    arguments = parser.parse_args()
    print(copy_shifted(arguments.data, arguments.target))
