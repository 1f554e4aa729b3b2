"""The card of a published data set: README.md, with the header that the Hub reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snellen.mining.hardset import HardSet
from snellen.mining.publish.card_parts import accuracy, limits, making, review, table
from snellen.mining.publish.changes import Changes
from snellen.mining.publish.features import in_card
from snellen.mining.publish.licences import Licence, member_name
from snellen.mining.publish.made import Made, how_made
from snellen.mining.publish.place import CHANGES, FIGURE
from snellen.mining.publish.rows import ABOUT, Selection
from snellen.mining.publish.scores import RunScore
from snellen.report.tables import percent
from snellen.report.writers import markdown

# The Hub's classes of size.
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
# Changes that are listed; the CSV has all.
SHOWN = 20


@dataclass(frozen=True)
class Facts:
    """All that a card says.

    name: of the data set; form: its layout, of `publish_write.WRITERS`; command, date, version: of publishing.
    upscaled: how images were enlarged, and to which width; converted: how many were encoded anew because they are shown
    nowhere; bordered: how many have a border that no classifier saw; turned: how many programs turn, see `Bytes`.
    """

    name: str
    form: str
    hard_set: HardSet
    selection: Selection
    origins: Mapping[str, int]
    licences: Mapping[str, Licence]
    scores: Sequence[RunScore]
    changes: Changes | None
    upscaled: tuple[str, int] | None
    converted: int
    bordered: int
    turned: int
    command: str
    date: str
    version: str


def card(facts: Facts) -> bytes:
    """The card's text."""
    from huggingface_hub import DatasetCardData

    header, made = DatasetCardData(**_header(facts)).to_yaml(), how_made(facts.hard_set.mined.record)
    parts = [
        f"---\n{header.strip()}\n---",
        f"# {markdown(facts.name)}",
        _about(facts, made),
        *_use(facts),
        *_origins(facts),
        *making(facts.hard_set, made),
        f"Published by:\n\n```sh\n{facts.command.replace('```', '')}\n```",
        *review(facts.hard_set, facts.selection),
        *accuracy(facts.scores),
        *limits(made, _own_limits(facts)),
        *_changes(facts.changes),
        *(_columns() if facts.form == "parquet" else []),
    ]
    return ("\n\n".join(parts) + "\n").encode()


def _header(facts: Facts) -> dict[str, Any]:
    images = len(facts.selection.images)
    licences = sorted({licence.of_the_hub for licence in facts.licences.values()})
    tags = ["benchmark", "robustness", "hard-examples", *(["imagenet"] if _is_family(facts.origins) else [])]
    header: dict[str, Any] = {
        "pretty_name": facts.name,
        "license": licences[0] if len(licences) == 1 else licences,
        "task_categories": ["image-classification"],
        "size_categories": [next((name for most, name in SIZES if images < most), "10M<n<100M")],
        "tags": tags,
    }
    if facts.form == "parquet":
        files = [{"split": "validation", "path": "data/validation-*"}]
        header["configs"] = [{"config_name": "default", "data_files": files}]
        header["dataset_info"] = {"features": in_card(facts.hard_set.space)}
    elif facts.form == "webdataset":
        files = [{"split": "validation", "path": "validation-*.tar"}]
        header["configs"] = [{"config_name": "default", "data_files": files}]
    return header


def _is_family(origins: Iterable[str]) -> bool:
    return any(member_name(origin) for origin in origins)


def _about(facts: Facts, made: Made) -> str:
    images, space = len(facts.selection.images), facts.hard_set.space
    again = sum(bool(image.read_by) for image in facts.selection.images)
    mended = (
        f" But for {again:,} of them: their labels were mended since, and some framing gives those." if again else ""
    )
    text = (
        f"{images:,} images that {_who(made)} failed to read, at whatever framing they were shown.{mended} Each has "
        f"one or several labels, of {len(space):,} classes ({markdown(space.name)}); an answer is right if it is any "
        f"of them. Made with Snellen {facts.version} on {facts.date}."
    )
    if facts.upscaled:
        how, wide = facts.upscaled
        text += (
            f" The images were enlarged to a width of {wide:,} pixels by {markdown(how)}; ids and labels are those of "
        )
        text += "the originals."
    return text


def _who(made: Made) -> str:
    count = len(made.miners.rows)
    if made.required and made.required < count:
        return f"at least {made.required} of {count} classifiers"
    return f"{count} classifiers" if count > 1 else "a classifier"


def _use(facts: Facts) -> list[str]:
    if facts.form != "parquet":
        return []
    return [
        '```python\nfrom datasets import load_dataset\n\ndata = load_dataset("path/to/this", split="validation")\n```',
        "```sh\nsnellen eval parquet/path/to/this -m timm/resnet50\n```",
    ]


def _origins(facts: Facts) -> list[str]:
    total = sum(facts.origins.values())
    rows = [
        (
            markdown(origin),
            f"{count:,}",
            f"{percent(count / total)} %",
            *map(markdown, _licence(facts.licences[origin])),
        )
        for origin, count in facts.origins.items()
    ]
    figure = [f"![Origin of the images]({FIGURE})"] if shows_figure(facts.form, facts.origins) else []
    return ["## Where the images are from", *figure, table(("origin", "images", "share", "licence", ""), rows)]


def shows_figure(form: str, origins: Mapping[str, int]) -> bool:
    """Whether there is a figure of the origins. In a layout of image files it would be taken for one of the images."""
    return len(origins) > 1 and form in ("parquet", "webdataset")


def _licence(licence: Licence) -> tuple[str, str]:
    return licence.text, licence.source


def _own_limits(facts: Facts) -> list[str]:
    in_conflict = {conflict.image.id for conflict in facts.hard_set.conflicts}
    undecided = [image for image in facts.selection.images if image.status == "undecided"]
    conflicts = sum(image.mined.id in in_conflict for image in undecided)
    lines = []
    if len(undecided) > conflicts:
        lines.append(f"**Not all reviewed.** Nobody decided on {len(undecided) - conflicts:,} of the images.")
    if conflicts:
        lines.append(
            f"**In conflict.** On {conflicts:,} of the images verdicts contradict each other; they have the labels "
            "that they were mined with."
        )
    if facts.selection.at_odds:
        lines.append(
            f"**Copies with other labels.** In the review a copy of an image here was given other labels: "
            f"{len(facts.selection.at_odds):,} images."
        )
    if facts.turned:
        lines.append(
            f"**Turned.** {facts.turned:,} images have Exif data by which browsers and `datasets` turn or mirror them. "
            "The miners were shown them as they are stored; `width` and `height` are of that."
        )
    if facts.bordered:
        lines.append(
            f"**Borders.** {facts.bordered:,} images have a border that the miners were not shown; a model that is "
            "given the images as they are here sees it."
        )
    if facts.converted:
        lines.append(
            f"**Encoded anew.** {facts.converted:,} images were made PNG files, with the pixels that the miners saw."
        )
    if facts.upscaled:
        lines.append("**Enlarged.** Details that the originals do not have were made up, or are missing.")
    return lines


def _changes(found: Changes | None) -> list[str]:
    if found is None:
        return []
    counts = ", ".join(f"{count:,} {kind}" for kind, count in found.counts.items())
    parts = ["## Changes", f"Against {markdown(found.against)} ({found.images:,} images): {counts}."]
    if found.rows:
        rows = [
            (
                row.kind,
                markdown(row.id),
                markdown(row.image_id),
                *(markdown(", ".join(keys)) for keys in (row.before, row.now)),
                markdown(row.why),
            )
            for row in found.rows[:SHOWN]
        ]
        parts.append(table(("change", "id", "image", "labels before", "labels now", "why"), rows))
        more = len(found.rows) - SHOWN
        parts.append(f"[{CHANGES}]({CHANGES}) has {f'these and {more:,} more' if more > 0 else 'them too'}.")
    return parts


def _columns() -> list[str]:
    rows = [(f"`{name}`", about) for name, about in ABOUT.items()]
    return ["## Columns", table(("column", ""), rows)]
