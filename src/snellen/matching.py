"""Which image of a data set each row of a file of predictions is of."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from snellen.datasets.listing import SUFFIXES
from snellen.errors import DataError
from snellen.predictions import Predictions

_ENDING = rf"(?i)({'|'.join(suffix.replace('.', '[.]') for suffix in SUFFIXES)})$"


def match(given: Predictions, ids: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """The image of each row, its place in `ids`, -1 where there is none: int64 `[rows]`; and how it was found.

    ids: the data set's image ids, relative paths.

    All rows are matched in one way: by as much of the path as rows and ids share, less folder by folder, with the
    file's ending and then without. The first way that places every row is taken, or else the one that places most.
    A name that several images share places none.

    Raises DataError where rows without names are not as many as images, and where no row matches.
    """
    if given.names is None:
        if given.rows != len(ids):
            raise DataError(
                f"{given.rows} rows without file names, but the data set has {len(ids)} images: add a column "
                "file_name, or give a row for each image, in their order"
            )
        first = ", ".join(repr(image) for image in ids[:2])
        return np.arange(len(ids)), [f"rows are taken to be in the order of the data set: {first}, …"]
    if given.places:
        return _by_place(given.names, len(ids)), ["rows are matched by their image's place in the data set"]
    names = pc.replace_substring(given.names.cast(pa.string()), "\\", "/")
    known = pa.array(ids, pa.string())
    best, how, most = np.full(given.rows, -1), "", 0
    for folders in range(max(image.count("/") for image in ids), -1, -1):
        for ending in (True, False):
            place = _by_name(_shortened(names, folders, ending), _shortened(known, folders, ending))
            found = int((place >= 0).sum())
            if found > most:
                best, how, most = place, _way(folders, ending), found
            if found == given.rows:
                break
        if most == given.rows:
            break
    if most:
        return best, [f"rows are matched by {how}"]
    digits = pc.all(pc.match_substring_regex(names, "^[0-9]{1,9}$")).as_py()
    if digits and len(names):
        return _by_place(names.cast(pa.int64()), len(ids)), ["rows are matched by their image's place in the data set"]
    first = names[0].as_py() if len(names) else ""
    raise DataError(f"no row is of an image of the data set: a row says {first!r}, an image is {ids[0]!r}")


def _by_place(names: pa.Array, images: int) -> NDArray[np.int64]:
    place = names.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return np.where((place >= 0) & (place < images), place, -1)


def _by_name(names: pa.Array, known: pa.Array) -> NDArray[np.int64]:
    """The place in `known` of each name that stands there exactly once."""
    coded = known.dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False)
    once = np.flatnonzero(np.bincount(codes, minlength=len(coded.dictionary))[codes] == 1)
    place = pc.index_in(names, value_set=known.take(pa.array(once))).fill_null(-1).to_numpy(zero_copy_only=False)
    return np.where(place >= 0, once[place] if len(once) else -1, -1)


def _shortened(paths: pa.Array, folders: int, ending: bool) -> pa.Array:
    """The file names of paths with at most so many folders before them."""
    short = pc.replace_substring_regex(paths, f"^.*/((?:[^/]*/){{{folders}}}[^/]*)$", r"\1")
    return short if ending else pc.replace_substring_regex(short, _ENDING, "")


def _way(folders: int, ending: bool) -> str:
    name = "file name" if ending else "file name without its ending"
    return name if not folders else f"{name} and {folders} folder{'s' * (folders > 1)}"
