"""The page's first table: every run by every label source in a row."""

from snellen.analysis.cover import TOP_K
from snellen.analysis.survey import Survey
from snellen.report.parts import HIDDEN, RUN_KEYS, TIES, Parts
from snellen.report.table import Number, Row, Table, number

COLUMNS = (
    *("1-crop", "best single zoom", f"top-{TOP_K}", "upper bound"),
    *(f"random, {TOP_K} zooms", "random, all zooms", "labels permuted"),
)


def overview_table(survey: Survey) -> Table:
    """What one framing reads, what framing could fix, what guessing and luck would give; beside what is published."""
    parts = Parts(survey)
    rows = []
    for group in parts.groups:
        best = {metric: parts.best.of(group.members, metric) for metric in ("one_crop", f"top_{TOP_K}", "upper_bound")}
        for place in group.members:
            one = parts.summaries[place]
            numbers: list[Number | None] = [
                parts.number(place, one.one_crop, "one_crop", place in best["one_crop"]),
                number(one.best_single),
                parts.number(place, one.top_k, f"top_{TOP_K}", place in best[f"top_{TOP_K}"]),
                parts.number(place, one.upper, "upper_bound", place in best["upper_bound"]),
                Number(one.random[1]),
                Number(one.random[0]),
                next((Number(by.mean, by.low, by.high) for by in one.luck.permuted if by.what == "upper bound"), None),
            ]
            rows.append(Row(parts.names(place), tuple(numbers)))
    notes = (
        f"Best single zoom, top-{TOP_K} and upper bound are chosen on the labels they are scored by: what framing "
        "could fix, not what a classifier reaches by itself.",
        "Random: zooms divided by classes, at most 100 %. Labels permuted: the upper bound when every image is scored "
        f"by another's labels, with the least and the most of {max(s.luck.permutations for s in parts.summaries)} "
        "permutations.",
        *([TIES] if any(len(group.members) > 1 for group in parts.groups) else []),
    )
    columns = tuple((name,) for name in COLUMNS)
    return Table("summary", "Right, % [95 % interval]", RUN_KEYS, ("measure",), columns, tuple(rows), notes, HIDDEN)
