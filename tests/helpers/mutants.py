"""Images that chance has damaged, from the shipped photographs; the same ones for the same numbers."""

import io
import random
from functools import cache
from importlib.resources import files

from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# Offsets where the formats keep sizes, counts and offsets of what follows.
HEADER = 64


@cache
def sources() -> list[bytes]:
    """The bytes of the shipped photographs, and of small pictures of them in every format that is read."""
    folder = files("snellen.datasets.examples")
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".jpg")), key=lambda file: file.name)
    photographs = [file.read_bytes() for file in found]
    encoded = []
    for k, data in enumerate(photographs):
        with Image.open(io.BytesIO(data)) as image:
            small = image.convert("RGB").resize((96, 72))
        kinds = {"kind": FORMATS[k % len(FORMATS)]}
        out = io.BytesIO()
        options = {"TIFF": {"compression": ("tiff_lzw", "tiff_adobe_deflate", "packbits")[k % 3]}}
        small.save(out, kinds["kind"], **options.get(kinds["kind"], {}))
        encoded.append(out.getvalue())
    return photographs + encoded


def mutant(number: int) -> bytes:
    """Mutant `number`: a source with one or two kinds of damage."""
    rng = random.Random(number)
    data = bytearray(rng.choice(sources()))
    for _ in range(rng.randint(1, 2)):
        rng.choice(DAMAGES)(rng, data)
    return bytes(data)


def flip_bits(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice([1, 1, 8, 100])):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def truncate(rng: random.Random, data: bytearray) -> None:
    del data[rng.randint(0, len(data)) :]


def random_header(rng: random.Random, data: bytearray) -> None:
    length = rng.randint(1, HEADER)
    data[:length] = rng.randbytes(length)


def random_fields(rng: random.Random, data: bytearray) -> None:
    """Two or four bytes of the header: all ones, all noughts, or anything."""
    for _ in range(rng.randint(1, 4)):
        length, at = rng.choice([1, 2, 4]), rng.randrange(8, HEADER)
        data[at : at + length] = rng.choice([b"\xff" * length, bytes(length), rng.randbytes(length)])


def header_of_another(rng: random.Random, data: bytearray) -> None:
    length = rng.randint(4, HEADER)
    data[:length] = rng.choice(sources())[:length]


def lose_a_piece(rng: random.Random, data: bytearray) -> None:
    at = rng.randint(0, len(data))
    del data[at : at + rng.randint(1, 2000)]


def repeat_a_piece(rng: random.Random, data: bytearray) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = data[at : at + rng.randint(1, 2000)]


def blank_a_piece(rng: random.Random, data: bytearray) -> None:
    at = rng.randint(0, len(data))
    piece = data[at : at + rng.randint(1, 2000)]
    data[at : at + len(piece)] = bytes(len(piece))


# A header that is gone says nothing about the decoder behind it, so the others come more often.
DAMAGES = (
    flip_bits,
    flip_bits,
    flip_bits,
    random_fields,
    lose_a_piece,
    repeat_a_piece,
    blank_a_piece,
    truncate,
    random_header,
    random_fields,
    header_of_another,
    lose_a_piece,
    repeat_a_piece,
    blank_a_piece,
)
