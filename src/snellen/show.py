"""One image through the zooms, drawn: a contact sheet, or an animation along the scales."""

import contextlib
import io
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
from numpy.typing import NDArray

from snellen.atomic import create_atomic, writing
from snellen.classifiers import Classifier, Prepared
from snellen.engine.answers import masked, softmax, top_classes
from snellen.engine.progress import Reporter
from snellen.engine.running import ModelOptions, completed_model, prepare_model
from snellen.engine.worker import NOT_NUMBERS
from snellen.errors import DataError, UsageError
from snellen.picture import Picture, open_picture
from snellen.report.animate import check_video, gif, mp4
from snellen.report.seen import Seen
from snellen.report.sheet import contact_sheet
from snellen.zoom import PAPER_GRID, ViewRule, Zoom, paper_grid
from snellen.zoom.path import zoom_path
from snellen.zoom.render import UnreadableImage, render

if TYPE_CHECKING:
    import torch

# What a sheet shows unless told otherwise: doublings of the scale, and the scale at which an image fills its window.
SHEET = tuple(Zoom(scale, row, col) for scale in (64, 128, 224, 256, 512, 1024) for row in range(3) for col in range(3))
# The scales of an animation unless told otherwise: from where things can just be made out to the study's largest.
PATH = (32, 1024)
SECONDS, MOST_SECONDS = 6.0, 60.0
# The largest scale of an animation: a photograph resized to it still fits the limit of `render`.
LARGEST = 4096
# Frames a second unless told otherwise, and at most: browsers slow a GIF of more than 50 down.
FPS, MOST_FPS = {".gif": 10.0, ".mp4": 25.0}, {".gif": 50.0, ".mp4": 60.0}
# Seconds between two lines on how far the work is.
EVERY = 5.0

Ask = Callable[[Sequence[ViewRule]], Seen]


@dataclass(frozen=True)
class Film:
    """What an animation is to be: where it zooms (None: at the best anchor), how far, in how many frames."""

    anchor: tuple[int, int] | None
    scales: tuple[int, int]
    frames: int
    fps: float


def show(
    image: str | Path,
    model: "str | torch.nn.Module" = "embedded/efficientnet_lite0",
    *,
    out: str | Path,
    label: str | Sequence[str] | None = None,
    zooms: Sequence[Zoom] | None = None,
    anchor: tuple[int, int] | None = None,
    scales: tuple[int, int] | None = None,
    seconds: float | None = None,
    fps: float | None = None,
    **options: Unpack[ModelOptions],
) -> Seen:
    """Show one image to a model and draw its answers to `out`: a sheet (.png) or an animation (.gif, .mp4).

    image: a file, or `DATA:ID` for an image of a data set (`examples:koala.jpg`).
    model: as in `study`.
    label: the accepted class, or several; where left out, those of the data set, or the folder's name if it is a class.
    zooms: what a sheet shows, of the study's 324; where left out, the nine anchors of six scales.
    anchor: row and col, 0 … 2, where an animation zooms; where left out, that of `best_anchor`.
    scales: from which scale to which an animation zooms; 32 to 1024 where left out.
    seconds, fps: how long an animation is, 6 s where left out, and its frames a second, 10 for a GIF and 25 for an MP4.
    options: precision, backend, device, batch_size, …; see `snellen.engine.running.ModelOptions`.

    Every view is cut as the study cuts it, and the model is asked about each. Returns what it answered: at all 324
    zooms for a sheet, at each different frame for an animation.

    Raises UsageError where something is at `out` already (nothing is written over) or it cannot be written, and for an
    option that this kind of picture has not; DataError for an image that cannot be read and a label that the model does
    not have; ModelError as `study`.
    """
    asked = completed_model("show", options)
    report = asked["report"]
    out = Path(out)
    suffix = out.suffix.lower()
    if suffix == ".png":
        _refuse(out, {"anchor": anchor, "scales": scales, "seconds": seconds, "fps": fps}, "an animation (.gif, .mp4)")
        film, shown = None, sheet_zooms(zooms)
    else:
        film, shown = _film(out, anchor, scales, seconds, fps), []
        _refuse(out, {"zooms": zooms}, "a sheet (.png)")
    _check_place(out)
    picture = open_picture(image)
    prepared = prepare_model(model, asked)
    for note in prepared.card.notes:
        report.status(note)
    ask = _asker(picture, prepared, [label] if isinstance(label, str) else label, report)
    grid = paper_grid(prepared.card.view_size)
    if film is None:
        seen, sheet = ask(grid.rules), io.BytesIO()
        contact_sheet(seen, shown).save(sheet, "PNG")
        _save(out, sheet.getvalue())
        return seen
    path = zoom_path(film.scales, film.anchor or best_anchor(ask(grid.rules)), film.frames, grid.size)
    rules = list(dict.fromkeys(path))  # frames that are the same view are asked about once
    seen, places = ask(rules), {rule: k for k, rule in enumerate(rules)}
    order = [places[rule] for rule in path]
    _save(out, gif(seen, order, film.fps) if suffix == ".gif" else mp4(seen, order, film.fps))
    return seen


def sheet_zooms(zooms: Sequence[Zoom] | None) -> list[int]:
    """The indices of the zooms that a sheet shows, each once; UsageError for one that the study has not."""
    chosen = list(dict.fromkeys(zooms or SHEET))
    odd = next((zoom for zoom in chosen if zoom.rule() not in PAPER_GRID.rules), None)
    if odd is not None:
        raise UsageError(f"{odd} is none of the study's 324: its scales are snellen.zoom.SCALES, row and col are 0 … 2")
    return [zoom.index for zoom in chosen]


def best_anchor(seen: Seen) -> tuple[int, int]:
    """The row and col most of whose views are right; of equals, and without a label, the most confident on average.

    Confident: in the label where there is one, else in the answer.
    """
    anchors = sorted({(rule.row, rule.col) for rule in seen.rules})
    at = np.array([anchors.index((rule.row, rule.col)) for rule in seen.rules])
    confidence = seen.label_confidence if seen.labels else seen.confidence
    scores = [(seen.right[at == k].mean(), confidence[at == k].mean()) for k in range(len(anchors))]
    return anchors[max(range(len(anchors)), key=lambda k: scores[k])]


def _asker(picture: Picture, prepared: Prepared, label: Sequence[str] | None, report: Reporter) -> Ask:
    """What asks the model about views of the picture."""
    space = prepared.card.class_space
    mask, labels = picture.class_map(space), picture.label_ids(space, label, report)
    classifier = prepared.classifier()

    def ask(rules: Sequence[ViewRule]) -> Seen:
        try:
            views = render(picture.image, rules)
        except UnreadableImage as error:
            raise DataError(f"{picture.name!r} cannot be shown: {error}") from error
        logits = _logits(classifier, views, prepared.batch_size, report)
        if not np.isfinite(logits).all():
            raise DataError(f"{picture.name!r} cannot be shown: {NOT_NUMBERS}")
        logits = masked(logits, mask)
        probs, ids = softmax(logits), top_classes(logits, mask, k=1)
        of_labels = probs[:, labels] if labels else np.full((len(rules), 1), np.nan, np.float32)
        return Seen(
            name=picture.name,
            model=prepared.text,
            whole=picture.image,
            rules=tuple(rules),
            views=views,
            ids=ids[:, 0],
            confidence=np.take_along_axis(probs, ids, 1)[:, 0],
            labels=labels,
            label_ids=np.array(labels or [-1], np.int32)[of_labels.argmax(axis=1)],
            label_confidence=of_labels.max(axis=1),
            names=space.names,
        )

    return ask


def _logits(classifier: Classifier, views: NDArray[np.uint8], batch_size: int, report: Reporter) -> NDArray[np.float32]:
    """The logits of views, batch by batch; `report` hears every few seconds how far it is."""
    started = told = time.perf_counter()
    batches = []
    for start in range(0, len(views), batch_size):
        batches.append(classifier.logits(views[start : start + batch_size]))
        now, done = time.perf_counter(), start + batch_size
        if now - told > EVERY and done < len(views):
            told = now
            left = (now - started) / done * (len(views) - done)
            report.status(f"{done} of {len(views)} views, {left:.0f} s left")
    return np.concatenate(batches)


def _film(
    out: Path,
    anchor: tuple[int, int] | None,
    scales: tuple[int, int] | None,
    seconds: float | None,
    fps: float | None,
) -> Film:
    suffix = out.suffix.lower()
    if suffix not in FPS:
        raise UsageError(f"{str(out)!r}: expected a file that ends in .png, .gif or .mp4")
    if suffix == ".mp4":
        check_video()
    if anchor is not None and not (len(anchor) == 2 and set(anchor) <= {0, 1, 2}):
        raise UsageError(f"anchor {anchor!r}: expected row and col, each 0, 1 or 2")
    scales = PATH if scales is None else scales
    if len(scales) != 2 or not all(1 <= scale <= LARGEST for scale in scales):
        raise UsageError(f"scales {scales!r}: expected two of 1 … {LARGEST}, for example 32 and 1024")
    seconds, fps = SECONDS if seconds is None else seconds, FPS[suffix] if fps is None else fps
    for option, value, most in (("seconds", seconds, MOST_SECONDS), ("fps", fps, MOST_FPS[suffix])):
        if not 0 < value <= most:
            raise UsageError(f"--{option} {value:g}: expected more than 0, and at most {most:g} for {suffix}")
    return Film(anchor, scales, max(2, round(seconds * fps)), fps)


def _refuse(out: Path, options: dict[str, object], kind: str) -> None:
    """UsageError where an option is given that is for the other kind of picture."""
    given = next((option for option, value in options.items() if value is not None), None)
    if given is not None:
        raise UsageError(f"--{given} is for {kind}, not for {out.name!r}")


def _check_place(out: Path) -> None:
    """Find out before the work whether `out` may be written."""
    with writing(out.parent), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        out.lstat()
        raise _occupied(out)
    folder = next(parent for parent in out.absolute().parents if os.path.lexists(parent))
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        why = "no permission" if folder.is_dir() else "it is no folder"
        raise UsageError(f"cannot write below {str(folder)!r}: {why}; choose another place with -o")


def _save(out: Path, data: bytes) -> None:
    """Create `out`; UsageError where something has come there since."""
    with writing(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        created = create_atomic(out, data)
    if not created:
        raise _occupied(out)


def _occupied(out: Path) -> UsageError:
    return UsageError(f"{str(out)!r} is there already and is not written over; remove it or give another -o")
