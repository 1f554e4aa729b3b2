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
    """The image on a grey canvas twice as wide and high, in the corner its name says, blurred over 4 pixels.

    It keeps its own pixels, so that a zoom can win back what a centre crop of the canvas loses.
    """
    width, height = image.size
    canvas = Image.new("RGB", (2 * width, 2 * height), GREY)
    corner = hashlib.sha256(name.encode()).digest()[0] % 4
    canvas.paste(image, (width // 4 + width // 2 * (corner % 2), height // 4 + height // 2 * (corner // 2)))
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
