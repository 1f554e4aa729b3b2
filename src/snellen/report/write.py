"""The files of a report: what was measured of many runs as tables, figures and a page."""

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.expected import Expected, compare, unmeasured
from snellen.analysis.summary import Summary
from snellen.analysis.survey import Survey
from snellen.atomic import write_atomic, writing
from snellen.errors import UsageError
from snellen.report.comparison import matrices, overlap_table, pairs_table, union_table
from snellen.report.draw import FORMATS, Drawing, Drawn, drawings
from snellen.report.evidence import (
    bias_data_table,
    bias_models_table,
    bias_table,
    confidence_table,
    luck_table,
    oracle_table,
    origins_table,
    scales_table,
    transfer_table,
    zooms_table,
)
from snellen.report.names import run_stems
from snellen.report.origins import image_origins
from snellen.report.paper import covers_table, groups_table, locations_table, merging_table, table_1
from snellen.report.parts import Parts
from snellen.report.scores import expected_table
from snellen.report.table import Table, as_csv
from snellen.report.writers import as_latex, as_markdown, markdown
from snellen.store import Run

KINDS = ("html", "md", "csv", "tex", *FORMATS)
# The list of the files that the reports in a folder wrote.
LISTED = "report.json"
PAGE = "index.html"


def chosen_kinds(text: str | None) -> tuple[str, ...]:
    """The kinds of files that were asked for, by commas; all where nothing was. UsageError for one there is not."""
    if text is None:
        return KINDS
    kinds = tuple(dict.fromkeys(kind.strip().lower().removeprefix(".") for kind in text.split(",")))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UsageError(f"no format {unknown[0]!r}; expected some of {','.join(KINDS)}, joined by commas")
    return kinds


def make_tables(
    survey: Survey, runs: Sequence[Run], *, errata: bool = False, expected: Expected | None = None
) -> list[Table]:
    """Every table of a report, without those that have nothing to say.

    errata: the groups also as published; expected: published numbers, which the last table has beside ours.
    """
    found = [one for summary in survey.summaries for one in summary.measured()] if expected else []
    parts = Parts(survey)
    tables = [
        table_1(parts),
        groups_table(parts, errata),
        locations_table(parts),
        bias_table(parts),
        bias_models_table(survey),
        bias_data_table(survey),
        covers_table(parts),
        transfer_table(parts),
        luck_table(parts),
        merging_table(parts),
        pairs_table(survey),
        *matrices(survey),
        overlap_table(survey),
        union_table(survey),
        origins_table(image_origins(runs)),
        zooms_table(parts),
        scales_table(parts),
        oracle_table(parts),
        confidence_table(parts),
        expected_table(compare(expected, found), expected, unmeasured(expected, found)) if expected else None,
    ]
    return [table for table in tables if table is not None]


def write_report(
    survey: Survey, runs: Sequence[Run], folder: Path, kinds: Sequence[str], tables: Sequence[Table]
) -> list[str]:
    """Write the files of a report into `folder`: of each table, of each figure, the page; the same bytes each time.

    Returns the names of files there that an earlier report wrote and this one did not. Nothing is removed, and nothing
    is written over but files of earlier reports: they are listed in `report.json` before they are written.

    kinds: of `KINDS`. `csv` and `tex` are a file a table, `csv` also one of the images of each run; `md` is one file.
    Raises UsageError where a file of another origin is in the way, UsageError or Stopped where nothing can be written.
    """
    texts = list(_text_files(survey, kinds, tables))
    files = [kind for kind in FORMATS if kind in kinds]
    pictures = list(drawings(survey.summaries, survey.names, image_origins(runs))) if files or "html" in kinds else []
    names = [name for name, _ in texts] + [f"{one.name}.{kind}" for one in pictures for kind in files]
    names += [PAGE] if "html" in kinds else []
    earlier = _listed(folder)
    foreign = sorted(name for name in set(names) - earlier if os.path.lexists(folder / name))
    if foreign:
        raise UsageError(f"{str(folder / foreign[0])!r} is no report's: nothing is written over; choose another --to")
    with writing(folder, "--to"):
        folder.mkdir(parents=True, exist_ok=True)
        listed = json.dumps({"files": sorted({*names, *earlier})}, indent=1, ensure_ascii=False)
        write_atomic(folder / LISTED, f"{listed}\n".encode("utf-8", "backslashreplace"))
        for name, text in texts:
            write_atomic(folder / name, text.encode("utf-8", "backslashreplace"))
        drawn = _draw(pictures, folder, files, "html" in kinds)
    if "html" in kinds:
        from snellen.report.page import write_page

        write_page(survey, folder, drawn, tables)
    return sorted(name for name in earlier - set(names) if (folder / name).is_file())


def _listed(folder: Path) -> set[str]:
    """The files that reports before this one wrote into `folder`; none where their list is not there or damaged."""
    try:
        names = json.loads((folder / LISTED).read_bytes())["files"]
        return {name for name in names if isinstance(name, str) and Path(name).name == name}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _text_files(survey: Survey, kinds: Sequence[str], tables: Sequence[Table]) -> Iterator[tuple[str, str]]:
    """Names and contents of the files that are no figures."""
    read = [table for table in tables if table.listed]
    if "csv" in kinds:
        yield from ((f"{table.name}.csv", as_csv(table)) for table in tables)
        for summary, stem in zip(survey.summaries, run_stems(survey.summaries, survey.names), strict=True):
            yield f"{stem}_images.csv", images_csv(summary)
    if "tex" in kinds:
        yield from ((f"{table.name}.tex", as_latex(table)) for table in read)
    if "md" in kinds:
        notes = [f"- {note}" for note in map(markdown, survey.notes)]
        head = ["# Zoom study", "", *([*notes, ""] if notes else []), ""]
        yield "tables.md", "\n".join(head) + "\n".join(map(as_markdown, read))


def _draw(pictures: Sequence[Drawing], folder: Path, files: Sequence[str], page: bool) -> list[Drawn]:
    """Write the figures as files; what the page takes of them, where there is one."""
    formats = list(dict.fromkeys([*(["svg"] if page else []), *files]))
    drawn: list[Drawn] = []
    if not pictures:
        return drawn
    from snellen.report.figures.style import save

    for one in pictures:
        content = save(one.figure(), formats)
        for kind in files:
            write_atomic(folder / f"{one.name}.{kind}", content[kind])
        if page:
            drawn.append(Drawn(one.name, one.kind, one.title, one.table, one.about, content["svg"].decode()))
    return drawn


def images_csv(summary: Summary) -> str:
    """A line for each scored image: how many zooms read it, and how much the answer depends on the zoom."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(
        ["image_id", "winning", "zooms", "sensitivity", "consensus", "consensus_share", "one_crop", "fixed_by"]
    )
    stats, zoom = summary.image_stats, summary.grid.one_crop
    correct = summary.correct
    one_crop = correct[:, zoom].astype(int).tolist() if zoom is not None else [""] * summary.images
    lines.writerows(
        zip(
            summary.scored_ids,
            stats.winning.tolist(),
            [summary.zooms] * summary.images,
            (f"{value:.4f}" for value in stats.sensitivity.tolist()),
            stats.consensus.tolist(),
            (f"{value:.4f}" for value in stats.consensus_share.tolist()),
            one_crop,
            ("" if read == 1 else spans(row) for read, row in zip(one_crop, correct, strict=True)),
            strict=True,
        )
    )
    return text.getvalue()


def spans(right: NDArray[np.bool_]) -> str:
    """The places that are true, neighbours as a span, which no spreadsheet takes for a date: bool `[zooms]`.

    >>> spans(np.array([True, True, True, False, True]))
    '0..2 4'
    """
    edges = np.flatnonzero(np.diff(right, prepend=False, append=False)).tolist()
    return " ".join(
        f"{start}..{stop - 1}" if stop - start > 1 else f"{start}"
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
    )
