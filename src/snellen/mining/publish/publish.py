"""From a reviewed hard set to a data set that others can load: the main path.

hard set → which images → their bytes, perhaps enlarged → files in one layout → the card → a folder that is there whole.
"""

import hashlib
import importlib.metadata
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snellen.atomic import write_atomic
from snellen.datasets import DataSet
from snellen.engine.progress import Reporter, silent
from snellen.errors import UsageError
from snellen.mining.hardset import HardImage
from snellen.mining.publish.card import Facts, card, shows_figure
from snellen.mining.publish.changes import Changes, changes, changes_csv
from snellen.mining.publish.given import Given, Options, digest, read_given
from snellen.mining.publish.images import Bytes, Originals, as_mined, mined_sources, pixels, shown_everywhere
from snellen.mining.publish.place import (
    CARD,
    CHANGES,
    FIGURE,
    FORMAT,
    RECORD,
    encoded,
    has_card,
    listed,
    making,
    published,
    renew,
    tidy,
)
from snellen.mining.publish.scores import RunScore, Target, score_runs
from snellen.mining.publish.upscale import RECIPE, Network, encode, enlarge, target_size
from snellen.mining.publish.write import WRITERS, Sample
from snellen.redact import without_folders


@dataclass(frozen=True)
class Published:
    """What lies at OUT now; written: `all`, `card` (the data was there already), or `nothing`."""

    out: Path
    written: str
    record: Mapping[str, Any]
    notes: tuple[str, ...]


def publish(
    hard: Path, out: Path, options: Options | None = None, network: Network | None = None, report: Reporter = silent
) -> Published:
    """Publish a hard set at OUT, a new folder here or in a store; of one that holds the same data the card is renewed.

    network: what enlarges images, where `options.wide` says that they are to be; None: Lanczos.
    Raises UsageError where a choice or a licence is missing, no image is left, or OUT holds something else; DataError
    where an image cannot be had as it was mined; Stopped where OUT cannot be written.
    """
    given = read_given(hard, options or Options(), network)
    there = published(out)
    if there is None:
        return _write(given, out, report)
    seen = _Seen(**there["seen"])
    converts = given.options.convert != there.get("convert") and seen.convertible > 0
    if there.get("content") != given.content or converts:
        raise UsageError(
            f"{str(out)!r} holds another version; nothing was written over: choose another -o, and --previous {out} "
            "says what has changed"
        )
    tidy(out)
    told = _told(given, there["treated"])
    files, record = _described(given, told, out, seen, there["treated"])
    if there.get("card") == record["card"] and has_card(out):
        return Published(out, "nothing", there, told.notes)
    record["files"] = there["files"]
    renew(out, files, record)
    return Published(out, "card", record, told.notes)


@dataclass
class _Seen:
    """How many images have a border, are turned by programs, and would be changed by `Options.convert`."""

    bordered: int = 0
    turned: int = 0
    convertible: int = 0

    def add(self, image: Bytes, border: int) -> None:
        """Count an image as it was mined."""
        self.bordered += border > 0
        self.turned += image.turned
        self.convertible += not image.is_as_mined(border)


@dataclass(frozen=True)
class _Told:
    """What is measured of the images and compared with an earlier version."""

    scores: Sequence[RunScore]
    notes: tuple[str, ...]
    changes: Changes | None


def _told(given: Given, treated: Mapping[str, str]) -> _Told:
    """`treated`: the sha256 of each image whose bytes are not those that were mined, by id."""
    enlarged = given.options.wide is not None
    hashes = {image.mined.id: {image.mined.sha256} for image in given.selection.images}
    for key, sha256 in treated.items():  # those that were encoded anew have the same pixels
        hashes[key] = {sha256} if enlarged else {sha256, *hashes[key]}
    targets = {
        image.mined.id: Target(frozenset(hashes[image.mined.id]), image.labels) for image in given.selection.images
    }
    miners = [one for one in given.hard_set.mined.record.get("miners") or () if isinstance(one, str)]
    scores, notes = score_runs(given.runs, targets, given.hard_set.space, miners)
    if given.selection.at_odds:
        notes.append(
            f"copies were given other labels in the review: {', '.join(given.selection.at_odds[:5])}, look again"
        )
    found = None
    if given.previous is not None:
        name = _title(given.previous, str(given.options.previous))
        found = changes(name, given.previous, given.hard_set, given.selection, hashes)
    return _Told(scores, tuple(notes), found)


def _write(given: Given, out: Path, report: Reporter) -> Published:
    if given.runs and given.options.wide is not None:
        raise UsageError("--run: no run has seen the enlarged images; publish, `snellen eval` them, then add --run")
    told, images, options = _told(given, {}), given.selection.images, given.options
    originals = Originals(
        mined_sources(given.hard_set.mined.record, options.data, options.root), (image.mined for image in images)
    )
    seen = _Seen()
    treated: dict[str, str] = {}
    with making(out, digest([given.treatment, *RECIPE]), given.content) as place:
        with report.bar(len(images), 1, len(images)) as progress:

            def samples() -> Iterator[Sample]:
                for image, row in zip(images, given.rows, strict=True):
                    data, border = originals.read(image.mined), originals.border(image.mined)
                    seen.add(as_mined(data), border)
                    one = _bytes(given, data, border, image, place.work)
                    sha256 = hashlib.sha256(one.data).hexdigest()
                    if sha256 != image.mined.sha256:
                        treated[image.mined.id] = sha256
                    about = {"sha256": sha256, "width": one.width, "height": one.height}
                    licence = given.licences[image.mined.origin].text
                    yield Sample(one.data, f"{image.mined.id}.{one.suffix}", {**row, **about}, licence)
                    progress.advance(1)

            WRITERS[options.form](place.folder, samples(), given.hard_set.space)
        if treated:  # their bytes are known now
            told = _told(given, treated)
        files, record = _described(given, told, out, seen, treated)
        record["files"] = listed(place.folder)
        record["cards"] = [hashlib.sha256(files[CARD]).hexdigest()]
        for name, data in {RECORD: encoded(record), **files}.items():
            (place.folder / name).write_bytes(data)
    return Published(out, "all", record, told.notes)


def _bytes(given: Given, data: bytes, border: int, image: HardImage, work: Path) -> Bytes:
    """An image as it is published; one that was enlarged before the command was killed is taken from `work`."""
    options = given.options
    if options.wide is None:
        return shown_everywhere(data, border) if options.convert else as_mined(data)
    kept = work / f"{image.mined.sha256}.jpg"
    if kept.is_file():
        return as_mined(kept.read_bytes())
    whole = pixels(data, border)
    if target_size(*whole.size, options.wide) == whole.size:
        return shown_everywhere(data, border)
    write_atomic(kept, encode(enlarge(whole, options.wide, given.network)))
    return as_mined(kept.read_bytes())


def _described(
    given: Given, told: _Told, out: Path, seen: _Seen, treated: Mapping[str, str]
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The card with the files it shows, and the record."""
    options = given.options
    plain, name = options.wide is None and not options.convert, out.name or out.absolute().name
    facts = Facts(
        name=name,
        form=options.form,
        hard_set=given.hard_set,
        selection=given.selection,
        origins=given.origins,
        licences=given.licences,
        scores=told.scores,
        changes=told.changes,
        upscaled=(given.how, options.wide) if options.wide else None,
        converted=0 if options.wide else len(treated),
        bordered=seen.bordered if plain else 0,
        turned=seen.turned if plain else 0,
        command=given.command(name),
        date=datetime.now(UTC).date().isoformat(),
        version=importlib.metadata.version("snellen"),
    )
    files = {CARD: card(facts)}
    if shows_figure(options.form, given.origins):
        files[FIGURE] = _figure(given.origins)
    if told.changes is not None:
        files[CHANGES] = changes_csv(told.changes)
    record = {
        "format": FORMAT,
        "content": given.content,
        "card": digest([card(replace(facts, date="")).decode(), files.get(CHANGES, b"").decode()]),
        "layout": options.form,
        "images": len(given.selection.images),
        "seen": asdict(seen),
        "convert": options.convert,
        "snellen": facts.version,
        "published": facts.date,
        "undecided": options.undecided,
        "duplicates": options.duplicates,
        "upscaled": {"width": options.wide, "by": given.how} if options.wide else None,
        "left_out": dict(Counter(given.selection.left_out.values())),
        "origins": dict(given.origins),
        "licences": {origin: asdict(licence) for origin, licence in given.licences.items()},
        "accuracy": [
            {"model": without_folders(one.spec), "view": one.view, **one.accuracy.to_json()} for one in told.scores
        ],
        "changes": told.changes.to_json() if told.changes else None,
        "treated": dict(treated),
    }
    return files, record


def _figure(origins: Mapping[str, int]) -> bytes:
    from snellen.report.figures.bars import origin_figure
    from snellen.report.origins import Origin

    places = [Origin(name, count, None) for name, count in origins.items()]
    out = io.BytesIO()
    origin_figure(places, "Where the images are from").savefig(out, format="png", dpi=150)
    return out.getvalue()


def _title(previous: DataSet, text: str) -> str:
    """What an earlier version is called; of a folder here nobody else knows the path."""
    return previous.name if Path(text.removeprefix("parquet/")).exists() else without_folders(text)
