"""A contact sheet: chosen views of one image, each with the model's answer below it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from snellen.report.lettering import GREY, INK, MARKS, PALE, PAPER, RIGHT, WRONG, font, joined, percent, write
from snellen.report.seen import Seen, group_of
from snellen.zoom.grid import ViewRule

MARGIN, HEADER, TITLE, CAPTION = 24, 132, 30, 26
GAP, BLOCK_GAP, FRAME = 12, 36, 4
# The narrowest sheet that the header fits on, and the smallest side a view is drawn at.
LEAST_WIDTH, LEAST_VIEW = 640, 200


@dataclass(frozen=True)
class Layout:
    """Where everything on a sheet stands, in pixels.

    side: of every view as it is drawn; a view of fewer than 200 pixels is enlarged by a whole number.
    views: left and top of each view; titles: left and top of each block's title, and its text.
    """

    width: int
    height: int
    side: int
    views: tuple[tuple[int, int], ...]
    titles: tuple[tuple[int, int, str], ...]


def layout(rules: Sequence[ViewRule]) -> Layout:
    """A block for each scale, in the order given; inside, its anchors where they lie in the image.

    Where no scale has two anchors, a block is one view. No view may be given twice.
    """
    side = rules[0].size * max(1, -(-LEAST_VIEW // rules[0].size))
    scales = list(dict.fromkeys(rule.scale for rule in rules))
    single = len(scales) == len(rules)
    rows = [0] if single else sorted({rule.row for rule in rules})
    cols = [0] if single else sorted({rule.col for rule in rules})
    across = len(scales) if len(scales) <= 3 else math.ceil(math.sqrt(len(scales)))
    block_width = len(cols) * (side + GAP) - GAP
    block_height = TITLE + len(rows) * (side + CAPTION + GAP) - GAP
    corners = {
        scale: (
            MARGIN + k % across * (block_width + BLOCK_GAP),
            HEADER + MARGIN + k // across * (block_height + BLOCK_GAP),
        )
        for k, scale in enumerate(scales)
    }
    views = []
    for rule in rules:
        left, top = corners[rule.scale]
        row, col = (0, 0) if single else (rows.index(rule.row), cols.index(rule.col))
        views.append((left + col * (side + GAP), top + TITLE + row * (side + CAPTION + GAP)))
    heads = {rule.scale: f"{rule.scale}/{rule.row}/{rule.col}" if single else f"scale {rule.scale}" for rule in rules}
    groups = {rule.scale: group_of(rule) for rule in rules}
    titles = tuple((*corners[scale], f"{heads[scale]}  ·  {groups[scale]}") for scale in scales)
    down = -(-len(scales) // across)
    width = 2 * MARGIN + across * (block_width + BLOCK_GAP) - BLOCK_GAP
    height = HEADER + 2 * MARGIN + down * (block_height + BLOCK_GAP) - BLOCK_GAP
    return Layout(max(LEAST_WIDTH, width), height, side, tuple(views), titles)


def contact_sheet(seen: Seen, shown: Sequence[int]) -> Image.Image:
    """Draw the views `shown` of an image that was seen at more; the header counts both.

    Each view has the pixels that the model saw. Below it stand the answer and its confidence; where there is a label,
    a mark says whether it is right, and a frame is around those that are.
    """
    picked = seen.only(shown)
    places = layout(picked.rules)
    sheet = Image.new("RGB", (places.width, places.height), PAPER)
    draw = ImageDraw.Draw(sheet)
    _header(sheet, draw, seen, shown)
    for left, top, title in places.titles:
        write(draw, (left, top + TITLE / 2 - 3), title, font(17, bold=True), places.width - MARGIN - left)
    right = picked.right
    for k, (left, top) in enumerate(places.views):
        good = bool(right[k])
        if good:
            draw.rectangle((left - FRAME, top - FRAME, left + places.side + 3, top + places.side + 3), fill=RIGHT)
        else:
            draw.rectangle((left - 1, top - 1, left + places.side, top + places.side), fill=PALE)
        view = Image.fromarray(picked.views[k]).resize((places.side, places.side), Image.Resampling.NEAREST)
        sheet.paste(view, (left, top))
        colour = INK if not seen.labels else RIGHT if good else WRONG
        middle = top + places.side + FRAME + CAPTION / 2 - 1
        share = percent(float(picked.confidence[k]))
        end = left + places.side
        draw.text((end, middle), share, fill=colour, font=font(14), anchor="rm")
        answer = picked.names[picked.ids[k]]
        text = f"{MARKS[good]} {answer}" if seen.labels else answer
        write(draw, (left, middle), text, font(14), places.side - font(14).getlength(share) - 8, colour)
    return sheet


def counts(seen: Seen, shown: Sequence[int]) -> str:
    """How many of the views are right, or what the model answers most often where no label is known.

    seen: every view that was asked about; shown: those that are drawn.
    """
    some = f"{len(shown)} shown"
    if seen.labels:
        right = seen.right
        of_all, of_some = f"{right.sum()} of {len(right)} zooms", f"{right[list(shown)].sum()} of the {some}"
        return f"right at {of_all}" + ("" if len(shown) == len(right) else f", {of_some}")
    answer, most = Counter(seen.ids.tolist()).most_common(1)[0]
    return f"most often {seen.names[answer]}, at {most} of {len(seen.ids)} zooms"


def _header(sheet: Image.Image, draw: ImageDraw.ImageDraw, seen: Seen, shown: Sequence[int]) -> None:
    """The whole image, small, and beside it what was shown to what, and how many are right."""
    small = seen.whole.copy()
    small.thumbnail((160, HEADER - MARGIN))
    sheet.paste(small, (MARGIN, MARGIN))
    left = MARGIN + small.width + 16
    room = sheet.width - MARGIN - left
    lines = [(seen.name, font(20, bold=True), INK), (seen.model, font(15), GREY)]
    label = f"label: {joined([seen.names[k] for k in seen.labels])}" if seen.labels else "no label"
    lines += [(label, font(15), INK), (counts(seen, shown), font(15), INK)]
    for k, (text, face, colour) in enumerate(lines):
        write(draw, (left, MARGIN + 12 + 27 * k), text, face, room, colour)
