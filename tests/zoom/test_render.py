"""Pixels against torchvision's resize and crop of the whole image, and what cannot be decoded."""

import io
import struct
import zlib
from importlib.resources import files
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms
from torchvision.datasets.folder import pil_loader
from torchvision.transforms import InterpolationMode, functional

import snellen.zoom.render
from snellen.zoom import PAPER_GRID, ViewRule, paper_grid
from snellen.zoom.render import UnreadableImage, ViewCutter, decode, render, render_plain

EXAMPLES = Path(str(files("snellen.datasets.examples")))
JPEG_QUALITY = {"quality": 90}


def picture(mode, width, height, seed=0):
    """Noise over a gradient, so that every pixel matters and filters overshoot."""
    rng = np.random.default_rng([seed, width, height])
    ramp = np.linspace(0, 160, width)[None, :, None] + np.linspace(0, 90, height)[:, None, None]
    rgba = np.clip(ramp + rng.integers(-90, 90, (height, width, 4)), 0, 255).astype(np.uint8)
    image = Image.fromarray(rgba)
    if mode == "RGBA":
        return image
    if mode in ("I;16", "I"):
        values = (rgba[..., 0].astype(np.int32) * 257 + rgba[..., 1]).clip(0, 65535)
        return Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.int32))
    if mode == "F":
        return Image.fromarray(rgba[..., 0].astype(np.float32) * 1.3 - 20)
    if mode == "PA":
        return image.convert("RGB").quantize(32).convert("PA")
    if mode == "P":
        return image.convert("RGB").quantize(64)
    return (image if mode == "LA" else image.convert("RGB")).convert(mode)


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def made(mode, width, height, kind, **options):
    return lambda: encoded(picture(mode, width, height), kind, **options)


def animated():
    frames = [picture("RGB", 61, 47, seed).quantize(128) for seed in range(3)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to show it
    return encoded(picture("RGB", 90, 50), "JPEG", exif=exif)


FORMATS = {
    "L.png": made("L", 70, 51, "PNG"),
    "L.jpg": made("L", 51, 70, "JPEG"),
    "LA.png": made("LA", 64, 64, "PNG"),
    "1.png": made("1", 45, 67, "PNG"),
    "1.tif": made("1", 45, 67, "TIFF", compression="group4"),
    "P.png": made("P", 83, 40, "PNG"),
    "P-transparent-index.png": made("P", 83, 40, "PNG", transparency=3),
    "P-transparent-bytes.png": made("P", 83, 40, "PNG", transparency=bytes(range(0, 256, 4))),
    "PA.tif": made("PA", 40, 83, "TIFF"),
    "RGBA.png": made("RGBA", 57, 91, "PNG"),
    "RGBA.webp": made("RGBA", 57, 91, "WEBP", lossless=True),
    "RGB.webp": made("RGB", 91, 57, "WEBP", quality=70),
    "RGB-transparent.png": made("RGB", 60, 60, "PNG", transparency=(3, 4, 5)),
    "RGB.bmp": made("RGB", 33, 21, "BMP"),
    "RGB.ppm": made("RGB", 21, 33, "PPM"),
    "RGB.tif": made("RGB", 77, 78, "TIFF", compression="tiff_lzw"),
    "CMYK.jpg": made("CMYK", 80, 61, "JPEG"),
    "CMYK.tif": made("CMYK", 61, 80, "TIFF"),
    "YCbCr.jpg": made("YCbCr", 75, 100, "JPEG", subsampling=2),
    "YCbCr-444.jpg": made("YCbCr", 100, 75, "JPEG", subsampling=0),
    "progressive.jpg": made("RGB", 63, 62, "JPEG", progressive=True),
    "LAB.tif": lambda: encoded(Image.merge("LAB", picture("RGB", 40, 41).split()), "TIFF"),
    "I16.png": made("I;16", 66, 44, "PNG"),
    "I16.tif": made("I;16", 44, 66, "TIFF"),
    "I.tif": made("I", 30, 31, "TIFF"),
    "F.tif": made("F", 31, 30, "TIFF"),
    "animated.gif": animated,
    "rotated.jpg": rotated,
}
SHAPES = [
    *((1, 1), (1, 2), (2, 1), (1, 7), (5, 1), (3, 3), (10, 10), (9, 11), (13, 40), (40, 13), (224, 224), (223, 225)),
    *((225, 223), (256, 256), (255, 341), (341, 255), (100, 299), (299, 100), (127, 128), (2000, 1300), (640, 480)),
]
CASES = (
    FORMATS
    | {f"{w}x{h}": made("RGB", w, h, "PNG", compress_level=1) for w, h in SHAPES}
    | {path.name: path.read_bytes for path in sorted(EXAMPLES.glob("*.jpg"))}
)


def reference(resized, rule):
    """One view of an image that was resized as a whole: torchvision's crop, then its flip."""
    width, height = resized.size
    if rule.anchor == "thirds":
        top = rule.row * (height // 3) + (height // 3) // 2 - rule.size // 2
        left = rule.col * (width // 3) + (width // 3) // 2 - rule.size // 2
        view = functional.crop(resized, top, left, rule.size, rule.size)
    elif (rule.row, rule.col) == (1, 1):
        view = functional.center_crop(resized, [rule.size])
    else:
        view = functional.five_crop(resized, [rule.size])[[(0, 0), (0, 2), (2, 0), (2, 2)].index((rule.row, rule.col))]
    return np.asarray(functional.hflip(view) if rule.flip else view)


def assert_same_views(image, rules):
    """Every view against the reference; rules of one scale stand together, so that it is resized once."""
    views = render(image, rules)
    assert views.dtype == np.uint8
    assert views.shape == (len(rules), rules[0].size, rules[0].size, 3)
    at = 0
    for (resize, kernel), same in groupby(rules, key=lambda rule: (rule.resize, rule.filter)):
        resized = functional.resize(image, resize, InterpolationMode(kernel))
        for rule in same:
            assert np.array_equal(views[at], reference(resized, rule)), rule
            at += 1


@pytest.mark.parametrize("name", CASES)
def test_all_zooms_are_torchvisions(name, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(CASES[name]())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # Pillow's, on palettes with transparency
        expected = pil_loader(str(path))
    image = decode(path)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(expected))
    assert_same_views(image, PAPER_GRID.rules)


@pytest.mark.parametrize(("width", "height"), [(2, 300), (300, 2), (1, 150), (150, 1), (5, 400)])
def test_panoramas_at_the_scales_that_torchvision_can_resize(width, height):
    rules = [rule for rule in PAPER_GRID if rule.scale in (10, 64, 224, 235)]
    assert_same_views(picture("RGB", width, height), rules)


@pytest.mark.parametrize("size", [336, 600])
def test_wider_windows(size):
    assert_same_views(picture("RGB", 151, 97), paper_grid(size, (10, 224, 256, 348)).rules)


@pytest.mark.parametrize("kernel", ["bicubic", "bilinear", "lanczos", "nearest"])
@pytest.mark.parametrize("anchor", ["thirds", "spread"])
def test_filters_and_anchors(kernel, anchor):
    anchors = [(0, 0), (0, 2), (1, 1), (2, 0), (2, 2)]
    rules = [
        ViewRule(resize, row, col, 96, kernel, anchor, flip)
        for resize in (97, 128, 200)
        for row, col in anchors
        for flip in (False, True)
    ]
    assert_same_views(picture("RGB", 171, 133), rules)


def test_ten_crop_is_torchvisions():
    image = picture("RGB", 300, 257)
    resized = transforms.Resize(256, InterpolationMode.BICUBIC)(image)
    # Its second five are cut from the mirrored image, so that left and right change places.
    anchors = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    mirrored = [(0, 2), (0, 0), (2, 2), (2, 0), (1, 1)]
    rules = [ViewRule(256, row, col, anchor="spread") for row, col in anchors]
    rules += [ViewRule(256, row, col, anchor="spread", flip=True) for row, col in mirrored]
    for view, expected in zip(render(image, rules), transforms.TenCrop(224)(resized), strict=True):
        assert np.array_equal(view, np.asarray(expected))


@pytest.mark.parametrize("shape", [(37, 60), (500, 90)])
def test_a_flip_mirrors_the_view_and_nothing_else(shape):
    image = picture("RGB", *shape)
    rules = [rule for rule in PAPER_GRID if rule.scale in (48, 256, 640)]
    flipped = [ViewRule(r.resize, r.row, r.col, flip=True, scale=r.scale) for r in rules]
    assert np.array_equal(render(image, flipped), render(image, rules)[:, :, ::-1])


def test_order_of_rules_is_kept():
    image = picture("RGB", 120, 80)
    views = render(image, PAPER_GRID.rules)
    order = np.random.default_rng(0).permutation(324)[:60]
    assert np.array_equal(render(image, [PAPER_GRID.rules[i] for i in order]), views[order])


def test_views_that_are_asked_for_one_by_one_are_those_of_all():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (91, 140, 3), np.uint8))
    together, rng = render(image, PAPER_GRID.rules), np.random.default_rng(1)
    cutter = ViewCutter(image, PAPER_GRID.rules)
    for zooms in np.array_split(rng.permutation(len(PAPER_GRID))[:150], 60):  # two or three at a time
        assert np.array_equal(cutter.cut(zooms.tolist()), together[zooms])
    with pytest.raises(UnreadableImage, match="times smaller"):
        ViewCutter(Image.new("RGB", (1, 20_000)), [ViewRule(1, 1, 1, 9, fit="squash"), ViewRule(9, 1, 1, 9)])


def test_outside_is_black():
    views = render(Image.new("RGB", (10, 10), (255, 255, 255)), [ViewRule(10, 1, 1), ViewRule(224, 0, 0)])
    assert views[0].sum() == 10 * 10 * 3 * 255
    # Thirds of 224 are 74 wide; the first one's middle is 37, and the window begins at -75.
    assert (views[1, 75:, 75:] == 255).all()
    assert views[1, :75].sum() == views[1, :, :75].sum() == 0


def test_first_frame_of_an_animation():
    first = Image.open(io.BytesIO(encoded(picture("RGB", 61, 47, 0).quantize(128), "GIF"))).convert("RGB")
    assert np.array_equal(np.asarray(decode(animated())), np.asarray(first))


def test_exif_rotation_is_ignored():
    assert decode(rotated()).size == (90, 50)
    assert Image.open(io.BytesIO(rotated())).getexif()[0x0112] == 6


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


UNREADABLE = {
    "truncated JPEG": (lambda: encoded(picture("RGB", 90, 70), "JPEG")[:-900], "truncated"),
    "truncated PNG": (lambda: encoded(picture("RGB", 90, 70), "PNG")[:-900], "truncated"),
    "truncated GIF": (lambda: encoded(picture("P", 90, 70), "GIF")[:-900], "truncated"),
    "JPEG header alone": (lambda: b"\xff\xd8\xff\xe0", "not an image"),
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"this is no photograph\n" * 20, "not an image"),
    "zeros": (lambda: bytes(5000), "not an image"),
    "bomb": (lambda: png_header(60_000, 60_000), "pixels"),
    "just too large": (lambda: png_header(20_000, 9_000), "pixels"),
    "large and hollow": (lambda: png_header(13_000, 7_000), "truncated"),  # where Pillow only warns
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("as_file", [False, True])
def test_what_cannot_be_decoded(what, as_file, tmp_path):
    make, reason = UNREADABLE[what]
    path = tmp_path / "image.jpg"
    path.write_bytes(make())
    with pytest.raises(UnreadableImage, match=reason) as caught:
        decode(path if as_file else path.read_bytes())
    assert str(caught.value).strip()
    assert "\n" not in str(caught.value)


def test_a_script_is_not_run(monkeypatch):
    """Pillow hands a PostScript file, whatever its name, to Ghostscript: image files are untrusted input."""
    started = []

    def run(*arguments, **_):
        started.append(arguments)
        raise OSError("not here")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", run)
    with pytest.raises(UnreadableImage):
        decode(encoded(picture("RGB", 8, 8), "EPS"))
    assert not started


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: folder / "missing.jpg", "No such file"),
        (lambda folder: folder, "directory"),
    ],
)
def test_a_path_that_cannot_be_read(make, reason, tmp_path):
    with pytest.raises(UnreadableImage, match=f"cannot be read: .*{reason}"):
        decode(make(tmp_path))


def test_the_pixel_limit_is_on_the_product(monkeypatch):
    monkeypatch.setattr(snellen.zoom.render, "MAX_PIXELS", 20 * 30)
    assert decode(encoded(Image.new("RGB", (20, 30)), "PNG")).size == (20, 30)
    assert decode(encoded(Image.new("RGB", (600, 1)), "PNG")).size == (600, 1)
    with pytest.raises(UnreadableImage, match="21 x 30 pixels, more than the limit of 600"):
        decode(encoded(Image.new("RGB", (21, 30)), "PNG"))


def test_a_panorama_over_the_resize_limit():
    # 1024 x 131,072 pixels of 4 bytes are the 512 MB; one more pixel of width is more.
    with pytest.raises(UnreadableImage, match=r"129 x 1 pixels would be resized to 132096 x 1024.*512 MB"):
        render_plain(Image.new("RGB", (129, 1)), PAPER_GRID.rules)
    with pytest.raises(UnreadableImage, match=r"2 x 300 pixels would be resized to 1024 x 153600.*512 MB"):
        render_plain(Image.new("RGB", (2, 300)), PAPER_GRID.rules)


def test_the_resize_limit_is_inclusive(monkeypatch):
    monkeypatch.setattr(snellen.zoom.render, "MAX_RESIZED_BYTES", 30 * 20 * 4)
    image = Image.new("RGB", (3, 2), (9, 9, 9))
    assert (render_plain(image, [ViewRule(20, 1, 1, 8), ViewRule(10, 1, 1, 8)]) == 9).all()
    with pytest.raises(UnreadableImage, match="31 x 21"):
        render_plain(image, [ViewRule(10, 1, 1, 8), ViewRule(21, 1, 1, 8)])
    with pytest.raises(UnreadableImage, match="31 x 21"):  # a filter that only Pillow knows
        render(image, [ViewRule(10, 1, 1, 8), ViewRule(21, 1, 1, 8, "nearest")])


SEEDS = [
    encoded(picture("RGB", 40, 30), "JPEG"),
    encoded(picture("RGB", 40, 30), "PNG"),
    encoded(picture("P", 40, 30), "GIF"),
    encoded(picture("RGB", 40, 30), "WEBP"),
    encoded(picture("RGB", 40, 30), "TIFF", compression="tiff_lzw"),
]


@settings(max_examples=400)
@given(st.sampled_from(SEEDS), st.data())
def test_damaged_files_decode_or_say_why(seed, data):
    """Whatever the bytes, nothing but UnreadableImage comes out, and an image is RGB."""
    damaged = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(1, len(seed) * 2))]
    image, reason = None, ""
    try:
        image = decode(bytes(damaged))
    except UnreadableImage as error:
        reason = str(error).strip()
    if image is None:
        assert reason
    else:
        assert image.mode == "RGB"
        assert len(image.tobytes()) == image.width * image.height * 3
