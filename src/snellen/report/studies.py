"""What the page shows of each summary of a survey: its name, its table of zooms, its images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snellen.analysis.summary import Summary
from snellen.analysis.survey import Survey
from snellen.report.hardest import Case, Lists, frame
from snellen.report.names import data_title, place_of
from snellen.report.pictures import ImageKey, Picture, Pictures
from snellen.report.tabular import HtmlTable, zoom_table
from snellen.zoom.grid import ViewRule

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class ShownCase:
    """A case with its pictures, None where the image is gone, and `why` says so.

    size: of the image itself; frame: the part of the fixing window inside it: left, top, width, height.
    view: the window's content.
    """

    case: Case
    picture: Picture | None
    why: str
    size: tuple[int, int] | None
    frame: Box | None
    view: Picture | None


@dataclass(frozen=True)
class Study:
    """What the page shows of one summary.

    number: from 1, in the order of the survey; heading: what it is called in the page, unlike any other.
    hard, sensitive: how many images the lists could hold; the lists show the first of them.
    """

    number: int
    heading: str
    summary: Summary
    zoom_table: HtmlTable
    hardest: Sequence[ShownCase]
    sensitive: Sequence[ShownCase]
    all_hard: int
    all_sensitive: int


def headings(survey: Survey) -> list[str]:
    """A heading for each summary: the run's name, and the data set and label source where there are several."""
    data = [data_title(one.data_name, one.labels) for one in survey.summaries]
    several = len(set(data)) > 1
    return [f"{name} on {where}" if several else name for name, where in zip(survey.names, data, strict=True)]


def show_study(
    number: int, heading: str, summary: Summary, lists: Lists, pictures: Mapping[ImageKey, Pictures]
) -> Study:
    """A summary as the page shows it; `pictures` has every image of `lists`."""
    stats = summary.image_stats
    return Study(
        number,
        heading,
        summary,
        zoom_table(summary),
        [_show_case(case, pictures[case.key]) for case in lists.hardest],
        [_show_case(case, pictures[case.key]) for case in lists.sensitive],
        int((stats.winning < summary.zooms).sum()),
        int(((stats.winning > 0) & (stats.sensitivity > 0)).sum()),
    )


def _show_case(case: Case, pictures: Pictures) -> ShownCase:
    box = view = None
    if case.fix and pictures.size:
        box, view = clipped(frame(case.fix.rule, pictures.size), pictures.size), pictures.views.get(case.fix.rule)
    return ShownCase(case, pictures.thumbnail, pictures.why, pictures.size, box, view)


def clipped(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box (left, top, width, height) that lies inside an image of a size (width, height).

    >>> clipped((-20.0, 5.0, 60.0, 10.0), (30, 40))
    (0, 5.0, 30, 10.0)
    """
    left, top = max(0, box[0]), max(0, box[1])
    right, bottom = min(size[0], box[0] + box[2]), min(size[1], box[1] + box[3])
    return round(left, 1), round(top, 1), round(right - left, 1), round(bottom - top, 1)


def zoom_name(rule: ViewRule) -> str:
    """A zoom in words.

    >>> zoom_name(ViewRule(384, 1, 2, scale=384))
    'scale 384, right'
    """
    return f"scale {rule.scale}, {place_of(rule)}"
