"""An animation: one image's views in order, each with the model's answer, as GIF or MP4."""

import importlib.util
import io
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from snellen.atomic import writing
from snellen.errors import UsageError
from snellen.report.lettering import GREY, INK, MARKS, PALE, PAPER, RIGHT, WRONG, font, percent, write
from snellen.report.names import place_of
from snellen.report.seen import Seen, group_of

MARGIN, TOP, AXIS, ROW = 16, 52, 66, 46
# The side a view is drawn at, about: its own size times a whole number.
SIDE = 448
# Colours of a GIF that are kept for text and bars, and frames that its palette is made from.
KEPT, SAMPLE = 32, 24
# Pixels that a palette is made from: more take seconds and do not make it better.
PIXELS = 50_000
# libx264's constant rate factor: its default is 23, and text needs a little more.
QUALITY = "20"

Draw = Callable[[int], Image.Image]


def side_of(size: int) -> int:
    """The side at which an animation draws views of `size` pixels; a whole multiple, so that pixels stay pixels.

    >>> side_of(224), side_of(600), side_of(32)
    (448, 600, 448)
    """
    return size * max(1, round(SIDE / size))


def frame_of(seen: Seen, span: tuple[int, int], view: int) -> Image.Image:
    """One frame: the view as the model saw it, where it lies between the scales of `span`, and the answer.

    The width and the height are even. The view's left and top are `MARGIN` and `TOP`.
    """
    side = side_of(seen.views.shape[1])
    rows = 2 if seen.labels else 1
    height = TOP + side + AXIS + rows * ROW + MARGIN // 2
    frame = Image.new("RGB", (side + 2 * MARGIN + side % 2, height + height % 2), PAPER)
    draw = ImageDraw.Draw(frame)
    write(draw, (MARGIN, 17), seen.name, font(16, bold=True), side)
    write(draw, (MARGIN, 38), seen.model, font(12), side, GREY)
    pixels = Image.fromarray(seen.views[view])
    frame.paste(pixels.resize((side, side), Image.Resampling.NEAREST), (MARGIN, TOP))
    rule, top = seen.rules[view], TOP + side
    draw.text((MARGIN + side, top + 16), place_of(rule), fill=GREY, font=font(13), anchor="rm")
    write(draw, (MARGIN, top + 16), f"scale {rule.scale}  ·  {group_of(rule)}", font(14), side - 100)
    _axis(draw, span, rule.scale, (MARGIN, MARGIN + side), top + 36)
    top += AXIS
    good = bool(seen.right[view])
    colour = INK if not seen.labels else RIGHT if good else WRONG
    mark = f"{MARKS[good]} " if seen.labels else ""
    _bar(draw, top, side, mark + seen.names[seen.ids[view]], float(seen.confidence[view]), colour)
    if seen.labels:
        label = f"label: {seen.names[seen.label_ids[view]]}"
        _bar(draw, top + ROW, side, label, float(seen.label_confidence[view]), GREY)
    return frame


def gif(seen: Seen, order: Sequence[int], fps: float) -> bytes:
    """The views `order`, one a frame, as an endless GIF; equal frames in a row become one that is shown longer.

    All frames have one palette and no dithering, so that still parts stay still.
    """
    draw = partial(frame_of, seen, _span(seen, order))
    palette = _palette(draw, order)
    runs = [k for k in range(len(order)) if k == 0 or order[k] != order[k - 1]]
    # GIF counts hundredths of a second: rounding the moments, not the durations, keeps the whole length.
    moments = np.rint(100 * np.array([*runs, len(order)]) / fps).astype(int)
    frames = (draw(order[k]).quantize(palette=palette, dither=Image.Dither.NONE) for k in runs)
    out = io.BytesIO()
    first = next(frames)
    durations = (10 * np.diff(moments)).tolist()
    # Given the palette, Pillow writes it once and not again with every frame.
    options = {"palette": palette.palette, "duration": durations, "loop": 0, "disposal": 1, "optimize": False}
    first.save(out, "GIF", save_all=True, append_images=frames, **options)
    return out.getvalue()


def mp4(seen: Seen, order: Sequence[int], fps: float) -> bytes:
    """The views `order`, one a frame, as H.264 that browsers and QuickTime play: 4:2:0, its index at the front.

    Raises UsageError where PyAV is not installed.
    """
    check_video()
    import av
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    draw = partial(frame_of, seen, _span(seen, order))
    with writing(Path(tempfile.gettempdir()), "TMPDIR"), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"  # the index is moved by reading the file again, so it needs a name
        with av.open(str(file), "w", options={"movflags": "+faststart"}) as film:
            stream = film.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": QUALITY})
            stream.width, stream.height = draw(order[0]).size
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            # Without these a player guesses the colours by the size of the picture.
            context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
            context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
            for view in order:
                picture = av.VideoFrame.from_ndarray(np.asarray(draw(view)), format="rgb24")
                film.mux(stream.encode(picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)))
            film.mux(stream.encode())
        return file.read_bytes()


def check_video() -> None:
    """UsageError where the package that writes MP4 is not installed."""
    if importlib.util.find_spec("av") is None:
        raise UsageError("MP4 needs PyAV, which is not installed: pip install 'snellen[video]', or write a .gif")


def _span(seen: Seen, order: Sequence[int]) -> tuple[int, int]:
    scales = [seen.rules[view].scale for view in order]
    return min(scales), max(scales)


def _axis(draw: ImageDraw.ImageDraw, span: tuple[int, int], scale: int, ends: tuple[int, int], y: int) -> None:
    """The scales of `span` on a logarithmic line, and where `scale` is on it."""
    low, high = span
    start, stop = ends[0] + 6, ends[1] - 6

    def x_of(value: int) -> float:
        return start + (stop - start) * (np.log(value / low) / np.log(high / low) if high > low else 0.5)

    draw.rectangle((start, y - 1, stop, y + 1), fill=PALE)
    small = font(11)
    ticks: dict[int, float] = {low: start, high: stop} if high > low else {low: x_of(low)}
    if low < 224 < high and min(x_of(224) - start, stop - x_of(224)) > 40:
        ticks[224] = x_of(224)
    for value, x in ticks.items():
        draw.rectangle((x - 1, y - 4, x + 1, y + 4), fill=GREY)
        anchor = "lm" if x == start else "rm" if x == stop else "mm"
        edge = {"lm": start - 6, "rm": stop + 6, "mm": x}[anchor]
        draw.text((edge, y + 15), str(value), fill=GREY, font=small, anchor=anchor)
    draw.text((x_of(scale), y - 1), "●", fill=INK, font=font(16), anchor="mm")


def _bar(draw: ImageDraw.ImageDraw, top: int, side: int, text: str, share: float, colour: str) -> None:
    """A class and its confidence, and below them a bar as long as that."""
    value = percent(share)
    face = font(16, bold=True)
    draw.text((MARGIN + side, top + 11), value, fill=colour, font=face, anchor="rm")
    write(draw, (MARGIN, top + 11), text, face, side - face.getlength("100.0 %") - 10, colour)
    draw.rectangle((MARGIN, top + 25, MARGIN + side - 1, top + 34), fill=PALE)
    if share > 0:
        draw.rectangle((MARGIN, top + 25, MARGIN + max(1, round(side * share)) - 1, top + 34), fill=colour)


def _palette(draw: Draw, order: Sequence[int]) -> Image.Image:
    """A picture whose palette fits all frames: some colours for text and bars, the others for the views."""
    picked = sorted({order[k] for k in np.linspace(0, len(order) - 1, min(SAMPLE, len(order))).astype(int)})
    frames = [draw(view) for view in picked]
    side = frames[0].width - 2 * MARGIN
    views = [frame.crop((MARGIN, TOP, MARGIN + side, TOP + side)) for frame in frames]
    below = [frame.crop((0, TOP + side, *frame.size)) for frame in frames]
    colours = np.array([ImageColor.getrgb(c) for c in (PAPER, INK, GREY, PALE, RIGHT, WRONG, "#000000")], np.uint8)
    for pictures, most in ((below, KEPT), (views, 256)):
        found = _colours(pictures, most - len(colours)).astype(int)
        # Pillow looks colours up by their upper six bits alone: what is nearly a flat colour would stand for it.
        apart = np.abs(found[:, None] - colours[None]).max(axis=2).min(axis=1) > 7
        colours = np.concatenate([colours, found[apart].astype(np.uint8)])
    chart = Image.new("P", (1, 1))
    chart.putpalette(colours.tobytes())
    return chart


def _colours(pictures: Sequence[Image.Image], most: int) -> NDArray[np.uint8]:
    """The colours that stand best for some pictures of one size: uint8 `[at most most, 3]`."""
    pixels = np.concatenate([np.asarray(picture).reshape(-1, 3) for picture in pictures])
    pixels = pixels[:: max(1, len(pixels) // PIXELS) | 1]  # an odd step meets every column
    chart = Image.fromarray(pixels[None]).quantize(most, Image.Quantize.MEDIANCUT, kmeans=1)
    return np.unique(np.array(chart.getpalette(), np.uint8).reshape(-1, 3), axis=0)
