"""The paper's tables: Table 1, the groups of zooms, the locations, the covers, the merged answers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share
from snellen.analysis.cover import TOP_K
from snellen.analysis.groups import group_bounds_published
from snellen.analysis.published import lookup, same_model
from snellen.report.names import PLACES
from snellen.report.parts import HIDDEN, RUN_KEYS, TIES, Parts
from snellen.report.table import Number, Row, Table, number

# The order in which the released notebook takes the classifiers; its last one decides every exclusive share.
STUDY_ORDER = (
    *("torchvision/resnet18:IMAGENET1K_V1", "torchvision/resnet50:IMAGENET1K_V1", "torchvision/vit_b_32:IMAGENET1K_V1"),
    *("torchvision/vgg16:IMAGENET1K_V1", "torchvision/alexnet:IMAGENET1K_V1"),
    "open_clip/ViT-L-14,openai,normalize=imagenet",
)
ROWS, COLUMNS = PLACES[1::3], PLACES[3:6]
ORACLE = "Top-36 is an oracle: the cover is fitted to the labels it is scored on."


def table_1(parts: Parts) -> Table:
    """1-crop, top-36, upper bound and guessing: classifiers downwards, data sets and label sources across."""
    models = list(dict.fromkeys(parts.names(place)[2:4] for place in parts.order))
    at = {(group, parts.names(k)[2:4]): k for group, one in enumerate(parts.groups) for k in one.members}
    rows = []
    for measure, metric in (
        ("1-crop", "one_crop"),
        (f"top-{TOP_K} (oracle)", f"top_{TOP_K}"),
        ("upper bound", "upper_bound"),
    ):
        best = {place for group in parts.groups for place in parts.best.of(group.members, metric)}
        for model in models:
            places = [at.get((group, model)) for group in range(len(parts.groups))]
            numbers = [
                None if k is None else parts.number(k, _share(parts, k, metric), metric, k in best) for k in places
            ]
            rows.append(Row((measure, *model), tuple(numbers)))
    for index, metric, count in ((1, f"top_{TOP_K}", TOP_K), (0, "upper_bound", None)):
        rows += _random_rows(parts, index, metric, count)
    return Table(
        "table1",
        "1-crop, top-36, upper bound and guessing, % [95 % interval]",
        ("measure", "model", "spec"),
        ("data", "labels"),
        tuple((group.data, group.labels) for group in parts.groups),
        tuple(rows),
        (*([TIES] if len(models) > 1 else []), ORACLE, "Random is zooms divided by classes, at most 100 %."),
        hidden=("spec",),
    )


def _share(parts: Parts, place: int, metric: str) -> Share:
    summary = parts.summaries[place]
    return {"one_crop": summary.one_crop, f"top_{TOP_K}": summary.top_k, "upper_bound": summary.upper}[metric]


def _random_rows(parts: Parts, index: int, metric: str, count: int | None) -> list[Row]:
    """What guessing reaches, a row for each number of zooms; a data set's runs differ where their classes do."""
    counts = sorted({count or parts.summaries[place].zooms for place in parts.order})
    rows = []
    for zooms in counts:
        numbers: list[Number | None] = []
        for group in parts.groups:
            some = [parts.summaries[k] for k in group.members if (count or parts.summaries[k].zooms) == zooms]
            published = lookup(group.data, group.labels, "*", f"random_baseline.{metric}")
            values = {summary.random[index] for summary in some}
            numbers.append(
                Number(
                    values.pop(),
                    published=published[0].value / 100 if published else None,
                    source=published[0].source if published else "",
                )
                if len(values) == 1
                else None
            )
        rows.append(Row(("random", f"{zooms} zooms", ""), tuple(numbers)))
    return rows


def groups_table(parts: Parts, errata: bool = False) -> Table:
    """What zooming in, out and neither reach, and what only one of them does.

    errata: also both as the released notebook computes them (docs/protocol.md), beside the published numbers.
    """
    names = list(dict.fromkeys(name for place in parts.order for name in parts.summaries[place].groups))
    shadowed = _shadowed(parts) if errata else {}
    columns = [(name, which) for name in names for which in ("upper bound", "alone")]
    columns += [(name, f"{which}, published way") for name in names for which in ("upper bound", "alone") if errata]
    rows = []
    for group in parts.groups:
        best = {name: parts.best.of(group.members, f"groups.{name}") for name in names}
        # Published are the exclusive shares of the cover of the study's last classifier.
        decides = _study_order(parts, group.members)[-1]
        as_then = same_model(STUDY_ORDER[-1], parts.summaries[decides].model)
        for place in group.members:
            numbers: list[Number | None] = []
            for name in names:
                bound, alone = parts.summaries[place].groups.get(name, (None, None))
                numbers.append(parts.number(place, bound, f"groups.{name}.upper_bound", place in best[name]))
                numbers.append(parts.number(place, alone))
            for name in names if errata else ():
                bound, alone = shadowed[place].get(name, (None, None))
                numbers.append(parts.number(place, bound, f"groups.{name}.upper_bound"))
                numbers.append(parts.number(place, alone, f"groups.{name}.exclusive_shadowed" if as_then else ""))
            rows.append(Row(parts.names(place), tuple(numbers)))
    notes = ["Upper bound: any zoom of the group is right. Alone: and no zoom of another group is."]
    notes += [TIES] if any(len(group.members) > 1 for group in parts.groups) else []
    if any(one and one.published is not None for row in rows for one in row.numbers):
        notes.append("Published upper bounds count the zooms of a minimum cover alone (--errata: ours so too).")
    if errata:
        last = sorted({parts.survey.names[_study_order(parts, group.members)[-1]] for group in parts.groups})
        notes.append(
            "Published way: only the zooms of a minimum cover count, for the upper bound the model's own, for alone, "
            f"by an error of the released notebook, that of the last model of the data set ({', '.join(last)})."
        )
    return Table(
        "groups",
        "Zooming in, out and neither, %",
        RUN_KEYS,
        ("group", "measure"),
        tuple(columns),
        tuple(rows),
        tuple(notes),
        HIDDEN,
    )


def _shadowed(parts: Parts) -> dict[int, dict[str, tuple[Share, Share]]]:
    """The group table as published, for each summary; grids that differ are taken by themselves."""
    found: dict[int, dict[str, tuple[Share, Share]]] = {}
    for group in parts.groups:
        for grid in dict.fromkeys(parts.summaries[place].grid for place in group.members):
            places = [place for place in _study_order(parts, group.members) if parts.summaries[place].grid == grid]
            corrects: list[NDArray[np.bool_]] = [parts.summaries[place].correct for place in places]
            found |= dict(zip(places, group_bounds_published(corrects, grid), strict=True))
    return found


def _study_order(parts: Parts, members: Sequence[int]) -> list[int]:
    """Summaries in the order of the study; models that it has not come before all of its own."""

    def place(member: int) -> int:
        model = parts.summaries[member].model
        return next((k for k, pattern in enumerate(STUDY_ORDER) if same_model(pattern, model)), -1)

    return sorted(members, key=place)


def locations_table(parts: Parts) -> Table:
    """The 3 x 3 maps: any scale at an anchor, and any zoom, or any of the cover, whose window sees a tile."""
    rows = []
    for place in parts.order:
        summary = parts.summaries[place]
        maps = (
            ("any scale at the anchor", summary.locations, "locations"),
            ("any window on the tile", summary.tiles, ""),
            ("any window of the cover on the tile", summary.cover_tiles, "cover_tiles"),
        )
        for what, cells, metric in maps:
            for row, line in enumerate(cells):
                numbers = [
                    parts.number(place, cell, f"{metric}.{row}.{col}" if metric else "")
                    for col, cell in enumerate(line)
                ]
                rows.append(Row((*parts.names(place), what, ROWS[row]), tuple(numbers)))
    return Table(
        "locations",
        "Upper bound at each location, %",
        (*RUN_KEYS, "map", "row"),
        ("col",),
        tuple((name,) for name in COLUMNS),
        tuple(rows),
        (
            "A window sees a tile if the tile's middle lies in it. The study's maps of centre bias count the zooms of "
            "a minimum cover.",
        ),
        hidden=HIDDEN,
    )


def covers_table(parts: Parts) -> Table:
    """How many zooms reach the upper bound, and what the first of them do."""
    asked = any(parts.summaries[place].exact_cover for place in parts.order)
    columns = ["greedy cover", "best single zoom", f"top-{TOP_K}", "upper bound"]
    columns += ["best found", "lower bound", "gap"] if asked else []
    rows = []
    for place in parts.order:
        summary, exact = parts.summaries[place], parts.summaries[place].exact_cover
        published, source = parts.published(place, "upper_bound.greedy_cover")
        numbers: list[Number | None] = [
            Number(summary.cover_size, kind="count", published=published, source=source),
            number(summary.best_single),
            number(summary.top_k),
            number(summary.upper),
        ]
        if asked:
            sizes = (exact.size, exact.lower_bound, exact.gap) if exact else (None, None, None)
            numbers += [None if size is None else Number(size, kind="count") for size in sizes]
        rows.append(Row(parts.names(place), tuple(numbers)))
    notes = ["Covers, their first zooms and the best single zoom are fitted to the labels they are scored on: oracles."]
    if asked:
        limit = max(e.time_limit for place in parts.order if (e := parts.summaries[place].exact_cover))
        notes.append(f"No cover is smaller than the lower bound; the search had {limit:g} s a run.")
    return Table(
        "covers",
        "Zooms that together reach the upper bound",
        RUN_KEYS,
        ("measure",),
        tuple((name,) for name in columns),
        tuple(rows),
        tuple(notes),
        HIDDEN,
    )


def merging_table(parts: Parts) -> Table | None:
    """Answers merged over the zooms of a group beside the 1-crop; None where no run holds any."""
    places = [place for place in parts.order if parts.summaries[place].merged]
    kinds: Sequence[tuple[str, str]] = list(
        dict.fromkeys((g, m) for place in places for g, merges in parts.summaries[place].merged.items() for m in merges)
    )
    if not places:
        return None
    rows = []
    for group in parts.groups:
        metrics = ["one_crop", *(f"merged.{views}.{merge}" for views, merge in kinds)]
        best = {metric: parts.best.of(group.members, metric) for metric in metrics}
        for place in (place for place in group.members if place in places):
            summary = parts.summaries[place]
            shares = [summary.one_crop, *(summary.merged.get(views, {}).get(merge) for views, merge in kinds)]
            numbers = [
                parts.number(place, share, metric, place in best[metric])
                for share, metric in zip(shares, metrics, strict=True)
            ]
            rows.append(Row(parts.names(place), tuple(numbers)))
    ties = [TIES] if any(one.best for row in rows for one in row.numbers if one) else []
    return Table(
        "merging",
        "Answers merged over a group of zooms, %",
        RUN_KEYS,
        ("views", "merge"),
        (("1-crop", ""), *kinds),
        tuple(rows),
        ("Mean, max: the class whose probability has the highest mean, or maximum, over the zooms.", *ties),
        HIDDEN,
    )
