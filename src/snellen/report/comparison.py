"""The comparison of many runs: every two of them, and all together."""

from snellen.analysis.compare import holm
from snellen.analysis.consistency import LEVEL
from snellen.analysis.pairs import UPPER, Pair
from snellen.analysis.survey import Survey
from snellen.report.table import Number, Row, Table, number

PAIR_KEYS = ("data", "labels", "a", "b", "measure")


def pairs_table(survey: Survey) -> Table | None:
    """Every two runs at every measure: the difference, its test, and whether they err on the same images."""
    rows = [row for pair in survey.pairs for row in _pair_rows(pair)]
    columns = ("difference", "p", "only a", "only b", "kappa", "a", "b")
    notes = (
        "Difference: a less b in points, with the interval of a paired bootstrap over images. p: McNemar's exact test, "
        "Holm-corrected for the measures of a pair. Only a, only b: images that one run alone gets right. Kappa: "
        "whether both are right and wrong on the same images, beyond chance.",
    )
    if not rows:
        return None
    return Table(
        "comparison",
        "Runs on the same images",
        PAIR_KEYS,
        ("what",),
        tuple((name,) for name in columns),
        tuple(rows),
        notes,
    )


def _pair_rows(pair: Pair) -> list[Row]:
    rows = []
    for one in pair.differences:
        kappa = pair.consistency.get(one.what)
        numbers = (
            Number(one.value, one.low, one.high, pair.images, "points"),
            Number(one.p, kind="p"),
            Number(one.test.only_a, kind="count"),
            Number(one.test.only_b, kind="count"),
            Number(kappa.kappa, kappa.low, kappa.high, kappa.n, "decimal") if kappa else None,
            number(one.a),
            number(one.b),
        )
        rows.append(Row((pair.data, pair.labels, pair.a, pair.b, one.what), numbers))
    return rows


def overlap_table(survey: Survey) -> Table | None:
    """Every two runs: the images that no zoom of either, of both gets right, and their union."""
    rows = []
    for pair in survey.pairs:
        hard = pair.hard
        if hard and pair.union:
            numbers = (
                Number(hard.a, n=hard.n, kind="count"),
                Number(hard.b, n=hard.n, kind="count"),
                Number(hard.both, n=hard.n, kind="count"),
                Number(hard.expected, kind="decimal"),
                Number(hard.jaccard),
                Number(hard.p, kind="p"),
                number(pair.union),
            )
            rows.append(Row((pair.data, pair.labels, pair.a, pair.b), numbers))
    columns = ("hard for a", "hard for b", "for both", "expected", "overlap, %", "p", "union upper bound, %")
    notes = (
        "Hard: no zoom is right. Expected: hard for both, were the runs independent. Overlap: hard for both over hard "
        "for any. p: Fisher's exact test of independence.",
    )
    if not rows:
        return None
    keys = PAIR_KEYS[:-1]
    return Table(
        "overlap", "Hard images of two runs", keys, ("what",), tuple((c,) for c in columns), tuple(rows), notes
    )


def union_table(survey: Survey) -> Table | None:
    """What runs reach together: the best first, then each time the one that adds most; and what each alone reaches."""
    rows = []
    for one in survey.unions:
        for k, (name, reached) in enumerate(one.adds, start=1):
            rows.append(Row((one.data, one.labels, str(k), name), (number(reached), number(one.only[name]))))
    columns = (("together so far",), ("this run alone",))
    notes = ("Together so far: images that any zoom of this run or of one above it gets right.",)
    if not rows:
        return None
    return Table(
        "union",
        "Upper bound of several runs, %",
        ("data", "labels", "k", "run"),
        ("what",),
        columns,
        tuple(rows),
        notes,
    )


def matrices(survey: Survey) -> list[Table]:
    """The differences at 1-crop and at the upper bound as matrices, where a data set has three runs or more."""
    pairs: dict[tuple[str, str], list[Pair]] = {}
    for pair in survey.pairs:
        pairs.setdefault((pair.data, pair.labels), []).append(pair)
    several = [some for some in pairs.values() if len(some) > 1]
    kinds = (("matrix_one_crop", "1-crop", "1-crop"), ("matrix_upper_bound", "the upper bound", UPPER))
    return [_matrix(several, name, title, what) for name, title, what in kinds if several]


def _matrix(several: list[list[Pair]], name: str, title: str, what: str) -> Table:
    """A row less a column; bold where a test, corrected for all pairs of the data set, tells the two apart."""
    rows = []
    columns = list(dict.fromkeys(run for pairs in several for pair in pairs for run in (pair.a, pair.b)))
    for pairs in several:
        found = {(pair.a, pair.b): one for pair in pairs for one in pair.differences if one.what == what}
        p = dict(zip(found, holm([one.test.p for one in found.values()]), strict=True))
        images = {(pair.a, pair.b): pair.images for pair in pairs}
        for a in dict.fromkeys(run for pair in pairs for run in (pair.a, pair.b)):
            cells: list[Number | None] = []
            for b in columns:
                key, sign = ((a, b), 1) if (a, b) in found else ((b, a), -1)
                one = found.get(key)
                if one is None:
                    cells.append(None)
                    continue
                low, high = sorted((sign * one.low + 0.0, sign * one.high + 0.0))  # no -0
                apart = bool(p[key] < LEVEL)
                cells.append(Number(sign * one.value + 0.0, low, high, images[key], "points", best=apart))
            rows.append(Row((pairs[0].data, pairs[0].labels, a), tuple(cells)))
    notes = (
        "A row less a column, in points, with the interval of a paired bootstrap. Bold: a paired McNemar test tells "
        "the two apart (Holm-corrected for all pairs, 5 %).",
    )
    keys, heads = ("data", "labels", "run"), tuple((run,) for run in columns)
    return Table(name, f"Differences at {title}", keys, ("less",), heads, tuple(rows), notes)
