"""Images that cannot be read never end a run: they are listed, the rest is done, and the exit code is 4."""

import io
import json
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

import snellen
from snellen.zoom.render import decode, render


def photograph(width=64, height=48):
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 3 % 256, y * 5 % 256, (x + y) * 2 % 256], -1).astype(np.uint8))


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def bomb():
    """A PNG of 60,000 x 60,000 pixels, according to its header."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def exif_rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photograph(), "JPEG", exif=exif)


GOOD = {
    "one pixel.png": encoded(photograph(1, 1), "PNG"),
    "cmyk.jpg": encoded(photograph().convert("CMYK"), "JPEG"),
    "palette.png": encoded(photograph().quantize(16), "PNG", transparency=3),
    "grey16.png": encoded(Image.fromarray(np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 20), "PNG"),
    "animated.gif": encoded(photograph(), "GIF", save_all=True, append_images=[photograph().rotate(90)]),
    "rotated.jpg": exif_rotated(),
    "quote'and\"double.png": encoded(photograph(), "PNG"),
    "line\nbreak.png": encoded(photograph(), "PNG"),
    "日本語 имя.webp": encoded(photograph(), "WEBP"),
    "panorama.png": encoded(photograph().resize((20_000, 10)), "PNG"),
}
BAD = {
    "truncated.jpg": (encoded(photograph(600, 400), "JPEG")[:-2000], "truncated"),
    "zero bytes.jpg": (b"", "empty"),
    "text.jpg": (b"not a picture at all", "not an image"),
    "bomb.png": (bomb(), "too many pixels"),
}


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """The folder of good and bad images, and the study of it."""
    root = tmp_path_factory.mktemp("bad")
    folder = root / "data" / "n01440764"
    folder.mkdir(parents=True)
    for name, data in GOOD.items():
        (folder / name).write_bytes(data)
    for name, (data, _) in BAD.items():
        (folder / name).write_bytes(data)
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "down").symlink_to(folder.parent)
    undecodable = os.path.join(os.fsencode(folder), b"\xff\xfe.png")
    with open(undecodable, "wb") as file:
        file.write(GOOD["one pixel.png"])
    command = [sys.executable, "-m", "snellen.cli", "study", str(root / "data"), "-m", tiny, "-o", str(root / "out")]
    done = subprocess.run([*command, "-q"], check=False, capture_output=True, text=True)
    return root, done


def test_exit_code_and_listing(finished):
    _, done = finished
    assert done.returncode == 4, done.stderr
    assert "5 images could not be read" in done.stdout
    for name in BAD:
        assert name in done.stdout


def test_every_bad_image_has_its_reason_and_every_good_one_its_answers(finished):
    root, _ = finished
    run = snellen.load_run(root / "out")
    errors = {image.split("/", 1)[1]: reason for image, reason in run.errors}
    assert errors.keys() == BAD.keys() | {"loop.png"}
    for name, (_, reason) in BAD.items():
        assert reason in errors[name]
    assert {image.split("/", 1)[1] for image in run.image_ids} == GOOD.keys() | {"\\xff\\xfe.png"}
    assert (run.answers() >= 0).all()
    assert run.complete


@pytest.mark.parametrize("name", GOOD)
def test_good_images_are_seen_as_pillow_converts_them(name):
    with Image.open(io.BytesIO(GOOD[name])) as image:
        expected = image.convert("RGB")
    picture = decode(GOOD[name])
    assert picture.size == expected.size
    rule = snellen.Zoom(32, 1, 1).rule()
    wide = expected.resize(rule.resized(*expected.size), Image.Resampling.BICUBIC)
    left, top = rule.window(*wide.size)
    assert (render(picture, [rule])[0] == np.asarray(wide.crop((left, top, left + 224, top + 224)))).all()


def test_exif_rotation_is_kept_as_stored():
    assert decode(exif_rotated()).size == (64, 48)


def test_same_bad_images_again_recompute_nothing(finished):
    root, _ = finished
    before = json.loads(next(root.glob("out/*/*/*/run.json")).read_text())["sessions"]
    spec = before[-1]["command"].split(" -m ")[-1].split(" ")[0]
    command = [sys.executable, "-m", "snellen.cli", "study", str(root / "data"), "-m", spec, "-o", str(root / "out")]
    done = subprocess.run([*command, "-q"], check=False, capture_output=True, text=True)
    assert done.returncode == 4
    assert json.loads(next(root.glob("out/*/*/*/run.json")).read_text())["sessions"] == before
