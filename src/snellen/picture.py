"""One image by itself: a file, or an image of a data set, with the labels that are known for it."""

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from snellen.datasets import DataSet, label_source, open_dataset
from snellen.engine.progress import Reporter, silent
from snellen.errors import DataError
from snellen.labels import ClassMap, ClassSpace
from snellen.zoom.render import UnreadableImage, decode, without_border


@dataclass(frozen=True)
class Picture:
    """One decoded image, RGB, and where it is from: a file in a folder, or image `place` of a data set."""

    name: str
    image: Image.Image
    folder: str = ""
    dataset: DataSet | None = None
    place: int = 0
    labels: str | None = None

    def class_map(self, space: ClassSpace) -> ClassMap | None:
        """Which of the model's classes take part; None where all do. DataError where the model lacks some."""
        if self.dataset is None or self.dataset.classes is None:
            return None
        return ClassMap.of(self.dataset.name, self.dataset.classes, space)

    def label_ids(
        self, space: ClassSpace, given: Sequence[str] | None = None, report: Reporter = silent
    ) -> tuple[int, ...]:
        """The accepted classes: those given, else the data set's, else the folder's name if it is a class; or none.

        Raises DataError for a class given that `space` does not have. Why labels of the data set or the folder cannot
        be used is told to `report`.
        """
        if given is not None:
            find = space.finder()
            return tuple(dict.fromkeys(find(word) for word in given))
        try:
            if self.dataset is not None:
                ids = [item.id for item in self.dataset.items]  # all of them: a folder's classes lie at one level
                return tuple(self.dataset.label_sets(ids, space, self.labels)[self.place])
            found = space.find(self.folder)
        except DataError as error:
            report.status(f"no label: {error}")
            return ()
        return () if found is None else (found,)


def open_picture(text: str | Path) -> Picture:
    """The image at a path, or the one that `DATA:ID` names (`examples:koala.jpg`); DataError where it cannot be read.

    It is decoded as a study decodes it: first frame, EXIF rotation ignored.
    """
    path = Path(text)
    try:
        is_file, exists = path.is_file(), path.exists()
        if is_file:
            return Picture(_printable(path.name), decode(path), _printable(path.absolute().parent.name))
    except (UnreadableImage, OSError) as error:
        raise DataError(f"{str(text)!r} cannot be shown: {error}") from error
    if exists or ":" not in str(text):
        what = "is no file" if exists else "is not there"
        raise DataError(f"{str(text)!r} {what}; give an image file, or DATA:ID such as examples:koala.jpg")
    return _of_dataset(str(text))


def _of_dataset(text: str) -> Picture:
    """The image that DATA:ID names; both may hold colons, and the longest DATA that can be opened is taken."""
    failure: DataError | None = None
    words = text.split(":")
    for end in range(len(words) - 1, 0, -1):
        data, image_id = ":".join(words[:end]), ":".join(words[end:])
        try:
            dataset = open_dataset(data)
        except DataError as error:
            failure = failure or error
            continue
        return _read(dataset, image_id, label_source(data))
    assert failure is not None
    raise failure


def _read(dataset: DataSet, image_id: str, labels: str | None) -> Picture:
    ids = [item.id for item in dataset.items]
    if image_id not in ids:
        near = difflib.get_close_matches(image_id, ids, n=1, cutoff=0.5) or ids[:1]
        raise DataError(f"{dataset.name} has no image {image_id!r}; it has {near[0]!r}")
    place = ids.index(image_id)
    try:
        image = without_border(decode(dataset.read(place)), dataset.border)
    except (UnreadableImage, OSError) as error:
        raise DataError(f"{image_id!r} of {dataset.name} cannot be shown: {error}") from error
    return Picture(image_id, image, dataset=dataset, place=place, labels=labels)


def _printable(name: str) -> str:
    r"""A file name as text: undecodable bytes are written `\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
