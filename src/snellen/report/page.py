"""The self-contained HTML page of finished runs: one file, no script, no network, at most 5 MB."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from snellen.analysis.summary import Summary
from snellen.analysis.survey import Survey
from snellen.atomic import write_atomic, writing
from snellen.report.draw import Drawn
from snellen.report.filters import FILTERS
from snellen.report.hardest import Lists, find_cases, wanted_pictures
from snellen.report.names import data_title
from snellen.report.overview import overview_table
from snellen.report.pictures import ImageKey, Pictures, take_pictures
from snellen.report.provenance import provenance
from snellen.report.slim import slim
from snellen.report.studies import headings, show_study
from snellen.report.table import Table
from snellen.report.tabular import html_table
from snellen.store import Run

# Bytes that a page may have.
LIMIT = 5_000_000
# Of these its figures may take so many; those of single runs are the first to be left out.
FIGURES = 2_500_000
# Images in a list, and how many of them show before the others are asked for.
MOST, VISIBLE = 24, 6
# Bytes that an image of a list takes: two pictures of a photograph, names and markup.
TYPICAL = 16_000
MOST_ERRORS = 100
# CSS pixels; narrower figures stand two in a row.
WIDE = 680
# Rows; longer tables are opened on demand.
LONG = 24


@dataclass(frozen=True)
class Section:
    """A part of the page: the names of its tables, and the kinds of its figures.

    tables, figures: of all runs together; folded: tables that are opened on demand, since a figure shows as much;
        single: figures of one run alone, which stand below its name.
    """

    key: str
    title: str
    tables: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    single: tuple[str, ...] = ()


SECTIONS = (
    Section("summary", "Summary", ("summary", "expected"), ("table1",), ("table1",)),
    Section("zooms", "Zooms", (), ("scales", "oracle"), ("scales", "oracle"), ("scales", "zooms")),
    Section("space", "Space", ("bias", "bias_models", "bias_data"), ("locations",), ("locations", "tiles")),
    Section("groups", "Groups", ("groups", "merging"), (), ("groups",)),
    Section("covers", "Covers", ("covers", "transfer"), (), ("cover",)),
    Section("luck", "Luck", ("luck",), ("confidence",), ("luck",)),
    Section("images", "Images"),
    Section("comparison", "Comparison", ("matrix_one_crop", "matrix_upper_bound", "comparison", "overlap", "union")),
    Section("method", "Method and provenance", ("origins",), (), ("origins",)),
)


@dataclass(frozen=True)
class Figure:
    """A figure in the page: its name, its text alternative, its size in CSS pixels, the SVG as a `data:` address."""

    name: str
    alt: str
    width: int
    height: int
    source: str = field(repr=False)

    @property
    def wide(self) -> bool:
        """Whether it needs a row of its own."""
        return self.width > WIDE


def write_page(survey: Survey, folder: Path, figures: Sequence[Drawn], tables: Sequence[Table]) -> Path:
    """Write `index.html` into `folder`, which is there; returns its path.

    figures, tables: what there is; a section shows those of its kinds and names.

    Figures and lists of images are as many as a page of 5 MB allows. Raises UsageError or Stopped where nothing can be
    written.
    """
    studies = list(zip(survey.runs, survey.summaries, strict=True))
    kept = affordable(figures)
    missing = len(figures) - len(kept)
    content = render(survey, studies, kept, tables, [Lists()] * len(studies), {}, missing)
    most = min(MOST, max(0, LIMIT - len(content)) // (2 * len(studies) * TYPICAL))
    lists = [find_cases(run, summary, summary.labels, most) for run, summary in studies]
    pictures = take_pictures(wanted_pictures(lists))
    for length in range(most, 0, -1):
        fewer = [Lists(one.hardest[:length], one.sensitive[:length]) for one in lists]
        fuller = render(survey, studies, kept, tables, fewer, pictures, missing)
        if len(fuller) <= LIMIT:
            content = fuller
            break
    with writing(folder, "--to"):
        write_atomic(folder / "index.html", content)
    return folder / "index.html"


def affordable(figures: Sequence[Drawn], most: int = FIGURES) -> list[Drawn]:
    """The figures that take `most` bytes of the page together, slimmed, those of several runs before those of one."""
    left, kept = most, {}
    for place in sorted(range(len(figures)), key=lambda place: (len(figures[place].about) == 1, place)):
        one = replace(figures[place], svg=slim(figures[place].svg))
        size = len(one.svg.encode("utf-8", "backslashreplace")) * 4 // 3
        if size <= left:
            left -= size
            kept[place] = one
    return [kept[place] for place in sorted(kept)]


def render(
    survey: Survey,
    studies: Sequence[tuple[Run, Summary]],
    figures: Sequence[Drawn],
    tables: Sequence[Table],
    lists: Sequence[Lists],
    pictures: Mapping[ImageKey, Pictures],
    missing: int = 0,
) -> bytes:
    """The page as UTF-8.

    studies: the run of each summary; lists: its images; pictures: of every image of the lists.
    missing: how many figures found no room.
    """
    style = files(__package__).joinpath("templates/page.css").read_text(encoding="utf-8")
    names = headings(survey)
    grid = survey.summaries[0].grid
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=_title(survey),
            version=version("snellen"),
            style=Markup(style),
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            notes=survey.notes,
            missing=missing,
            sections=[
                _section(one, figures, [overview_table(survey), *tables], len(studies))
                for one in SECTIONS
                if one.key != "comparison" or survey.pairs
            ],
            studies=[
                show_study(number, name, summary, images, pictures)
                for number, (name, (_, summary), images) in enumerate(zip(names, studies, lists, strict=True), start=1)
            ],
            zooms=len(grid),
            scales=len({rule.scale for rule in grid}),
            windows=" or ".join(map(str, sorted({one.grid.size for one in survey.summaries}))),
            visible=VISIBLE,
            most_errors=MOST_ERRORS,
            unreadable=_unreadable(studies, names),
            provenance=_provenance(studies, survey.names),
        )
    )
    return text.encode("utf-8", "backslashreplace")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("snellen.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment


def _section(section: Section, figures: Sequence[Drawn], tables: Sequence[Table], studies: int) -> dict[str, Any]:
    """A section with what it shows: figures of all runs together, and those of each run by its place."""
    by_name = {table.name: html_table(table) for table in tables if table.name in (*section.tables, *section.folded)}
    there = [name for name in (*section.tables, *section.folded) if name in by_name]
    folded = {name for name in there if name in section.folded or len(by_name[name].rows) > LONG}

    def chosen(kinds: Sequence[str], place: int | None) -> list[Figure]:
        """Figures of these kinds, in their order: of one run alone, or (None) of what is left."""
        single = [one for one in figures if one.kind in section.single and len(one.about) == 1]
        some = [one for one in figures if one not in single] if place is None else single
        return [
            _figure(one) for kind in kinds for one in some if one.kind == kind and (place is None or place in one.about)
        ]

    return {
        "key": section.key,
        "title": section.title,
        "tables": [by_name[name] for name in there if name not in folded],
        "folded": [by_name[name] for name in there if name in folded],
        "figures": chosen(section.figures, None),
        "single": [chosen(section.single, place) for place in range(studies)],
    }


def _figure(drawn: Drawn) -> Figure:
    """A figure with the size that its SVG states in points, a point being 4/3 CSS pixels."""

    def pixels(side: str) -> int:
        found = re.search(rf'<svg [^>]*\b{side}="([\d.]+)pt"', drawn.svg)
        return round(float(found[1]) * 4 / 3) if found else 0

    source = base64.b64encode(drawn.svg.encode("utf-8", "backslashreplace")).decode()
    alt = f"{drawn.title}. The same numbers are in a table of this section."
    return Figure(drawn.title, alt, pixels("width"), pixels("height"), f"data:image/svg+xml;base64,{source}")


def _title(survey: Survey) -> str:
    models = list(dict.fromkeys(survey.names))
    data = list(dict.fromkeys(data_title(one.data_name, "own") for one in survey.summaries))
    what = " and ".join(models) if len(models) < 3 else f"{len(models)} runs"
    return f"Zoom study of {what} on {data[0] if len(data) == 1 else f'{len(data)} data sets'}"


def _unreadable(
    studies: Sequence[tuple[Run, Summary]], names: Sequence[str]
) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """The images that each run could not read; runs with the same ones share a list."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, (_, summary) in zip(names, studies, strict=True):
        if summary.errors:
            found.setdefault(tuple(summary.errors), []).append(name)
    return [("; ".join(sharing), errors) for errors, sharing in found.items()]


def _provenance(studies: Sequence[tuple[Run, Summary]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Each run once, also where several label sources score it."""
    several = len({run.data for run, _ in studies}) > 1
    found: dict[Path, dict[str, Any]] = {}
    for name, (run, summary) in zip(names, studies, strict=True):
        where = f" on {data_title(summary.data_name, 'own')}" if several else ""
        found.setdefault(run.path, {"heading": name + where, "of": provenance(run)})
    return list(found.values())
