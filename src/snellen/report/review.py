"""The state of a review on a terminal: what is decided, who agrees with whom, what needs a look."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from snellen.analysis.accuracy import Share
from snellen.mining.agreement import Agreement
from snellen.mining.hardset import HardSet
from snellen.mining.log import WORDS
from snellen.mining.sheet import in_words
from snellen.report.tables import percent

# Conflicts that a terminal shows.
SHOWN = 20


def review_json(hard_set: HardSet) -> dict[str, Any]:
    """A plain form of what `print_review` prints, with every conflict."""
    return {
        "images": len(hard_set.images),
        **{str(status): count for status, count in hard_set.counts.items()},
        "read_again": [image.mined.id for image in hard_set.images if image.read_by],
        "reviewers": {name: dict(words) for name, words in _words(hard_set).items()},
        "agreement": hard_set.agreement.to_json(),
        "conflicts": [conflict.to_json() for conflict in hard_set.conflicts],
        "elsewhere": len({verdict.id for verdict in hard_set.elsewhere}),
        "torn": list(hard_set.torn),
    }


def print_review(hard_set: HardSet, console: Console) -> None:
    """Print the state of a review."""

    def line(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    counts = ", ".join(f"{count} {status}" for status, count in hard_set.counts.items())
    line(f"{hard_set.mined.folder}: {len(hard_set.images)} images: {counts}", "bold")
    if hard_set.reviewers:
        _print_reviewers(hard_set, console)
    agreement = hard_set.agreement
    if agreement.pairs:
        table = RichTable("reviewers", *("images", "same word, %", "Cohen's kappa", "95 % interval", "same labels"))
        for pair in agreement.pairs:
            table.add_row(escape(f"{pair.a}, {pair.b}"), *_cells(pair.kappa), _of(pair.relabels))
        if len(hard_set.reviewers) > 2:
            table.add_row("all together (Krippendorff's alpha)", *_cells(agreement.alpha), "")
        console.print(table)
        line("Of verdicts given without sight of another's. Same labels: of the images that both relabel.")
    if hard_set.conflicts:
        table = RichTable("id", "image", "conflict", "said")
        for conflict in hard_set.conflicts[:SHOWN]:
            said = "\n".join(in_words(verdict) for verdict in conflict.verdicts)
            table.add_row(conflict.image.id, *map(escape, (repr(conflict.image.image_id)[1:-1], conflict.why, said)))
        console.print(table)
        images = len({conflict.image.id for conflict in hard_set.conflicts})
        more = f"{len(hard_set.conflicts) - SHOWN} more; " if len(hard_set.conflicts) > SHOWN else ""
        line(
            f"{images} image{'s' * (images != 1)} in conflict: {more}--export FILE --conflicts writes them to decide on"
        )
    again = sum(bool(image.read_by) for image in hard_set.images)
    if again:
        line(f"{again} relabelled: a miner is right at a zoom by the new label, so that the image is not hard any more")
    elsewhere = len({verdict.id for verdict in hard_set.elsewhere})
    if elsewhere:
        line(f"Verdicts on {elsewhere} images that are not mined any more are kept, and count nothing")
    for name in hard_set.torn:
        line(f"The last line of verdicts/{name} was cut off, and counts nothing")


def _words(hard_set: HardSet) -> Mapping[str, Counter[str]]:
    """By reviewer, how many of the mined images have each verdict of theirs that stands."""
    found: dict[str, Counter[str]] = {reviewer: Counter() for reviewer in hard_set.reviewers}
    for image in hard_set.images:
        for verdict in image.standing:
            found[verdict.reviewer][verdict.verdict] += 1
    return found


def _print_reviewers(hard_set: HardSet, console: Console) -> None:
    table = RichTable("verdicts that stand, of", *WORDS)
    for reviewer, words in _words(hard_set).items():
        table.add_row(escape(reviewer), *(str(words[word]) for word in WORDS))
    console.print(table)


def _cells(found: Agreement) -> tuple[str, str, str, str]:
    if found.value != found.value:
        return str(found.n), percent(found.observed), "undefined", "–"
    return str(found.n), percent(found.observed), f"{found.value:.2f}", f"{found.low:.2f} – {found.high:.2f}"


def _of(relabels: Share) -> str:
    return f"{relabels.hits} of {relabels.n}" if relabels.n else "–"
