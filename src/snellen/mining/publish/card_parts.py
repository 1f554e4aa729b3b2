"""The parts of a card that say how images were mined, reviewed and read, and what the numbers do not say."""

from collections import Counter
from collections.abc import Iterable, Sequence

from snellen.mining.agreement import Agreement
from snellen.mining.hardset import HardSet
from snellen.mining.publish.made import Lines, Made, listed
from snellen.mining.publish.rows import Selection, told
from snellen.mining.publish.scores import RunScore
from snellen.report.tables import percent
from snellen.report.writers import markdown

# Marks a miner among models.
MINER = "†"


def making(hard_set: HardSet, made: Made) -> list[str]:
    """How the images were mined."""
    mined = len(hard_set.images)
    parts = ["## How it was made", f"An image was mined where {_rule(made)}: {mined:,} images."]
    for title, lines in (("Classifiers", made.miners), ("Data", made.sources), ("What each left", made.funnel)):
        if lines.rows:
            parts += [f"### {title}", _of(lines)]
    if "forwards" in made.funnel.columns:
        parts.append(
            "Forwards are views that were shown, the floor is the fewest that decide, and exhaustive is what a study "
            "of all images takes."
        )
    if made.commands:
        parts += ["```sh\n" + "\n".join(made.commands).replace("```", "") + "\n```"]
    facts_known = [f"{name}: {markdown(value)}." for name, value in made.facts]
    parts += ["\n".join(f"- {line}" for line in facts_known)] if facts_known else []
    if made.unknown:
        parts.append(f"Not recorded: {', '.join(made.unknown)}.")
    return parts


def _rule(made: Made) -> str:
    count = len(made.miners.rows)
    if made.required and made.required < count:
        return f"at least {made.required} of {count} classifiers were wrong at every framing"
    return "no framing made any of the classifiers right" if count > 1 else "no framing made the classifier right"


def review(hard_set: HardSet, selection: Selection) -> list[str]:
    """What people decided."""
    counts = Counter(image.status for image in selection.images)
    published = ", ".join(
        f"{counts[status]:,} {status}" for status in ("kept", "relabelled", "undecided") if counts[status]
    )
    lines = [f"By what people decided, the images here are {published}."]
    if selection.left_out:
        lines.append(f"Left out of those mined: {told(selection.left_out)}.")
    if hard_set.reviewers:
        lines.append(f"Reviewers: {len(hard_set.reviewers)}. {_agreement(hard_set)}".strip())
    again = sum(bool(image.read_by) for image in selection.images)
    if again:
        lines.append(
            f"Relabelled to a class that a miner answers at some framing, so that it is not hard for "
            f"that one: {again:,}."
        )
    return ["## Review", "\n".join(f"- {line}" for line in lines)]


def _agreement(hard_set: HardSet) -> str:
    agreement = hard_set.agreement
    if not agreement.pairs:
        return ""
    if len(agreement.pairs) == 1:
        return _kappa("Cohen's kappa", agreement.pairs[0].kappa)
    return _kappa("Krippendorff's alpha", agreement.alpha)


def _kappa(name: str, found: Agreement) -> str:
    if found.value != found.value:
        return f"{name} of verdicts given without sight of another's is undefined (n = {found.n})."
    return (
        f"{name} of verdicts given without sight of another's: {found.value:.2f} "
        f"[{found.low:.2f}, {found.high:.2f}] (n = {found.n})."
    )


def accuracy(scores: Sequence[RunScore]) -> list[str]:
    """How given runs do, with intervals, and paired."""
    if not scores:
        return []
    grouped = any(score.letters for score in scores)
    header = ["model", "view", "top-1 % [95 %]", "n", *(["group"] if grouped else [])]
    rows = [[_name(s), s.view, _share(s), f"{s.accuracy.n:,}", *([s.letters] if grouped else [])] for s in scores]
    parts = ["## Accuracy", "On the images that all of these models were shown.", table(header, rows)]
    if any(score.miner for score in scores):
        parts.append(f"{MINER} It mined these images: low by construction, not to be compared with the others.")
    if grouped:
        parts.append("Models that share a letter cannot be told apart: paired McNemar tests, Holm-corrected, 5 %.")
    paired = [(_name(s), s.against) for s in scores if s.against]
    if paired:
        cells = [
            (
                *(name, f"{100 * d.value:+.2f} [{100 * d.low:+.2f}, {100 * d.high:+.2f}]"),
                *(str(d.test.only_a), str(d.test.only_b), f"{d.p:.2g}", f"{d.a.n:,}"),
            )
            for name, d in paired
        ]
        best = _name(scores[0])
        parts += [
            f"{best} less each other model; p is of McNemar's tests, Holm-corrected:",
            table(("model", "difference [95 %]", "only the first", "only this", "p", "n"), cells),
        ]
    return parts


def _name(score: RunScore) -> str:
    return markdown(score.name) + (f" {MINER}" if score.miner else "")


def _share(score: RunScore) -> str:
    accuracy = score.accuracy
    return f"{percent(accuracy.value)} [{percent(accuracy.low)}, {percent(accuracy.high)}]"


def limits(made: Made, own: Sequence[str]) -> list[str]:
    """What a reader of a result must know; `own`: what is so of this data set."""
    miners = listed(row[0] for row in made.miners.rows) if made.miners.rows else "not recorded"
    lines = [
        f"**Selected against its miners.** The images are those that the miners ({markdown(miners)}) fail on. Their "
        "own accuracy here is low by construction, and that of models like them is pushed down too. Do not compare a "
        "miner with other models here.",
        "**Hard is not one thing.** An image may be here because it is hard, or because its label is wrong and nobody "
        "noticed.",
    ]
    lines += own
    without = made.leave_one_out
    if not without.rows:
        lines.append("**No leave-one-out.** How a miner does on a set that was mined without it was not measured.")
    parts = ["## Known limits", "\n".join(f"- {line}" for line in lines)]
    return parts + (["Each miner on the set that the others mine without it:", _of(without)] if without.rows else [])


def _of(lines: Lines) -> str:
    return table(
        [markdown(column) for column in lines.columns], [[markdown(cell) for cell in row] for row in lines.rows]
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; the cells are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
