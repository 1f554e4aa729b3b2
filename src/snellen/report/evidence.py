"""What the paper does not print: controls for luck, covers on other images, bias, and every curve as numbers."""

from collections.abc import Mapping, Sequence

from snellen.analysis.bias import BiasDifference
from snellen.analysis.cover import TOP_K
from snellen.analysis.survey import Survey
from snellen.report.origins import Origin
from snellen.report.parts import HIDDEN, RUN_KEYS, Parts
from snellen.report.table import Number, Row, Table, number

BIAS_COLUMNS = (("difference",), ("p",), ("a",), ("b",))
UNCORRECTED = "The p-values are not corrected for the number of rows."
# Levels of confidence that are read; the CSV has all.
READ = (0.5, 0.9, 0.99)


def luck_table(parts: Parts) -> Table:
    """1-crop and upper bound beside what they are under permuted labels, and what confident answers alone reach."""
    rows = []
    columns = [
        ("1-crop", "as it is"),
        ("1-crop", "labels permuted"),
        ("upper bound", "as it is"),
        ("upper bound", "labels permuted"),
        *(("upper bound", f"confidence ≥ {level:g}") for level in READ),
    ]
    for place in parts.order:
        summary = parts.summaries[place]
        permuted = {one.what: Number(one.mean, one.low, one.high, summary.images) for one in summary.luck.permuted}
        sure = dict(summary.luck.confident)
        numbers = (
            number(summary.one_crop),
            permuted.get("1-crop"),
            number(summary.upper),
            permuted.get("upper bound"),
            *(number(sure[level]) if level in sure else None for level in READ),
        )
        rows.append(Row(parts.names(place), numbers))
    times = max((parts.summaries[place].luck.permutations for place in parts.order), default=0)
    notes = (
        f"Labels permuted: over the images, mean [least, most] of {times} permutations: what as many answers hit by "
        "chance. Confidence ≥ t: only right answers that are at least so sure count.",
    )
    return Table(
        "luck", "The control for luck, %", RUN_KEYS, ("measure", "how"), tuple(columns), tuple(rows), notes, HIDDEN
    )


def confidence_table(parts: Parts) -> Table:
    """The upper bound at every level of confidence."""
    rows = [
        Row((*parts.names(place), f"{level:g}"), (number(share),))
        for place in parts.order
        for level, share in parts.summaries[place].luck.confident
    ]
    keys = (*RUN_KEYS, "confidence")
    title = "Upper bound that counts answers of at least a confidence, %"
    return Table("confidence", title, keys, ("measure",), (("upper bound",),), tuple(rows), (), HIDDEN, listed=False)


def transfer_table(parts: Parts) -> Table | None:
    """Covers learned on some images and tested on others: halves of a data set, and one run's on another's."""
    keys = (*RUN_KEYS, "learned on", "tested on", "zooms")
    rows = [
        Row(
            (*parts.names(place), one.learned_on, one.tested_on, str(one.zooms)),
            (number(one.oracle), number(one.transferred)),
        )
        for place in parts.order
        for one in parts.summaries[place].transfer
    ]
    for pair in parts.survey.pairs:
        rows += [
            Row(
                (
                    pair.data,
                    pair.labels,
                    f"{pair.a} and {pair.b}",
                    "",
                    "",
                    one.learned_on,
                    one.tested_on,
                    str(one.zooms),
                ),
                (number(one.oracle), number(one.transferred)),
            )
            for one in pair.transfer
        ]
    notes = ("Where it was learned a cover is an oracle; where it was tested it is not.",)
    columns = (("where it was learned",), ("where it was tested",))
    title = "Covers learned on one half and tested on the other, or of one run tested on another, %"
    return Table("transfer", title, keys, ("images",), columns, tuple(rows), notes, HIDDEN) if rows else None


def bias_table(parts: Parts) -> Table | None:
    """By how much the centre is read better than the eight other places."""
    rows = []
    for place in parts.order:
        found, n = parts.summaries[place].centre_bias, parts.summaries[place].images
        if found:
            rows.append(Row(parts.names(place), (Number(found.value, found.low, found.high, n, "points"),)))
    notes = (
        "The centre of the map of locations less the mean of its eight other cells, in points, with the interval of "
        "a bootstrap over images.",
    )
    columns = (("centre bias",),)
    return Table("bias", "Centre bias", RUN_KEYS, ("measure",), columns, tuple(rows), notes, HIDDEN) if rows else None


def bias_models_table(survey: Survey) -> Table | None:
    """The centre bias of every two runs on the same images, and their difference with its test."""
    rows = [
        Row((pair.data, pair.labels, pair.a, pair.b), _bias_numbers(pair.bias, (pair.images, pair.images)))
        for pair in survey.pairs
        if pair.bias
    ]
    keys, title = ("data", "labels", "a", "b"), "Centre bias of two runs on the same images"
    notes = (f"Difference: a less b in points, with interval and p of a paired bootstrap over images. {UNCORRECTED}",)
    return Table("bias_models", title, keys, ("what",), BIAS_COLUMNS, tuple(rows), notes) if rows else None


def bias_data_table(survey: Survey) -> Table | None:
    """The centre bias of each model on every two data sets, and their difference with its test."""
    rows = [
        Row((one.name, one.model, one.precision, *one.a, *one.b), _bias_numbers(one.found, one.images))
        for one in survey.shifts
    ]
    keys = ("model", *HIDDEN, "a", "a labels", "b", "b labels")
    title = "Centre bias of a model on two data sets"
    notes = (
        "Difference: a less b in points, with interval and p of a bootstrap that draws the images of each data set by "
        f"themselves. {UNCORRECTED}",
    )
    return Table("bias_data", title, keys, ("what",), BIAS_COLUMNS, tuple(rows), notes, HIDDEN) if rows else None


def _bias_numbers(found: BiasDifference, images: tuple[int, int]) -> tuple[Number, ...]:
    return (
        Number(found.value, found.low, found.high, kind="points"),
        Number(found.p, kind="p"),
        Number(found.a, n=images[0], kind="points"),
        Number(found.b, n=images[1], kind="points"),
    )


def zooms_table(parts: Parts) -> Table:
    """The accuracy at each zoom."""
    rows = [
        Row((*parts.names(place), *map(str, (zoom, rule.scale, rule.row, rule.col))), (number(share),))
        for place in parts.order
        for zoom, (rule, share) in enumerate(
            zip(parts.summaries[place].grid, parts.summaries[place].per_zoom, strict=True)
        )
    ]
    keys = (*RUN_KEYS, "zoom", "scale", "row", "col")
    title = "Accuracy at each zoom, %"
    return Table("zooms", title, keys, ("measure",), (("accuracy",),), tuple(rows), (), HIDDEN, listed=False)


def scales_table(parts: Parts) -> Table:
    """The accuracy at the centre and the upper bound over the nine anchors, at each scale."""
    rows = [
        Row((*parts.names(place), str(scale)), (number(centre), number(bound)))
        for place in parts.order
        for scale, centre, bound in parts.summaries[place].curve
    ]
    columns = (("centre anchor",), ("any of nine anchors",))
    title = "Accuracy at each scale, %"
    return Table("scales", title, (*RUN_KEYS, "scale"), ("measure",), columns, tuple(rows), (), HIDDEN, listed=False)


def oracle_table(parts: Parts) -> Table:
    """The upper bound of the first k zooms of the greedy cover, for every k, and the zoom that is added."""
    rows = []
    for place in parts.order:
        summary = parts.summaries[place]
        for k, share in enumerate(summary.oracle, start=1):
            zoom = str(summary.cover[k - 1]) if k <= len(summary.cover) else ""
            rows.append(Row((*parts.names(place), str(k), zoom), (number(share),), read=bool(zoom)))
    keys = (*RUN_KEYS, "k", "zoom")
    title = f"Upper bound of the greedy cover's first k zooms (an oracle; k = {TOP_K} is top-{TOP_K}), %"
    return Table("oracle", title, keys, ("measure",), (("upper bound",),), tuple(rows), (), HIDDEN, listed=False)


def origins_table(origins: Mapping[str, Sequence[Origin]]) -> Table | None:
    """How many images of each data set come from where; None where every data set is of one place."""
    rows = []
    for data, places in origins.items():
        total = sum(place.images for place in places)
        for place in places:
            beside = (place.published.value, place.published.source) if place.published else (None, "")
            images = Number(place.images, kind="count", published=beside[0], source=beside[1])
            rows.append(Row((data, place.name), (images, Number(place.images / total, n=total))))
    columns = (("images",), ("share, %",))
    keys = ("data", "origin")
    return Table("origins", "Origin of the images", keys, ("measure",), columns, tuple(rows)) if rows else None
