"""Images that are one picture: within and across data sets, and between them and a reference.

Everything is looked at once (`describe.py`); those with the nearest hashes and embeddings are candidates
(`hash.py`, `near.py`); of each two candidates one is searched in the other
(`points.py`) and the details that both show are compared (`check.py`). Only that decides, so that
neither a hash nor a classifier can call two pictures one.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from snellen.classifiers import Prepared
from snellen.datasets import DataSet
from snellen.engine.progress import Reporter, silent
from snellen.engine.samples import read_picture, sample_row
from snellen.mining.duplicates.check import compare
from snellen.mining.duplicates.clusters import Pair, clusters, keep, links
from snellen.mining.duplicates.describe import Picture, describe, view_rules
from snellen.mining.duplicates.hash import near_orientations
from snellen.mining.duplicates.near import BITS, Candidates, Looks, joined
from snellen.mining.duplicates.points import Points, find_points, grey
from snellen.mining.mined import image_key

# Points of so many images are kept at hand, 25 kB each; candidates are gone through in squares of half as many images.
AT_HAND = 16384

DUPLICATES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("reference", pa.bool_(), nullable=False),
        pa.field("cluster", pa.int32(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("kind", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("twin", pa.string()),
    ]
)


@dataclass(frozen=True)
class Source:
    """Some images of a data set, by their numbers in it; all of them where None."""

    dataset: DataSet
    images: Sequence[int] | None = None

    @property
    def pictures(self) -> list[Picture]:
        """Each of them."""
        return [(self.dataset, k) for k in (range(len(self.dataset.items)) if self.images is None else self.images)]


@dataclass(frozen=True, eq=False)
class Duplicates:
    """What a search found.

    table: of `DUPLICATES`. images, reference: how many were compared, and with how many of the reference.
    unreadable: origin, image id and reason of each image that cannot be read, of the reference too.
    """

    table: pa.Table
    images: int
    reference: int
    unreadable: tuple[tuple[str, str, str], ...]


def find_duplicates(
    sources: Sequence[Source],
    reference: Sequence[Source] = (),
    *,
    model: Prepared | None = None,
    report: Reporter = silent,
) -> pa.Table:
    """The images that are one picture with another, in clusters: a table of `DUPLICATES`, one row an image.

    Two images of the reference are not compared with each other; where one is in a cluster, it is the one kept. Images
    that cannot be read are in no cluster.

    model: a classifier whose embeddings find copies that were cut; without one only copies of the whole image are
        found, which may be re-encoded, resized, mirrored or turned.

    `id` is the image's in a hard set. `cluster` counts from 0. `kind` says in what way an image is the picture of its
    `twin` (an `id`), the kept one or one that leads to it: `bytes` (the same file), `pixels` (the same when decoded),
    `copy`, `crop`, `flip` or `rotation` (see `Match`). `score` is how well the details agree that both show, 1 where
    they are equal. All three are null for the one that is kept.

    Raises Stopped where a data set is gone, ModelError where the model has no embedding.
    """
    return search(sources, reference, model=model, report=report).table


def search(
    sources: Sequence[Source],
    reference: Sequence[Source] = (),
    *,
    model: Prepared | None = None,
    report: Reporter = silent,
) -> Duplicates:
    """What `find_duplicates` finds, and what it was found among; raises what that does."""
    pictures = [picture for source in sources for picture in source.pictures]
    first = len(pictures)
    if not pictures:
        return Duplicates(DUPLICATES.empty_table(), 0, 0, ())
    pictures += [picture for source in reference for picture in source.pictures]
    rows, hashes, near = _candidates(pictures, first, model, report)
    report.status(f"comparing {len(near):,} pairs of images that may be one picture")
    table = _table(rows, [*_equal(rows), *_confirmed(pictures, hashes, near)], first)
    unreadable = tuple((row["origin"], row["image_id"], row["error"]) for row in rows if row["error"])
    return Duplicates(table, first, len(rows) - first, unreadable)


def _candidates(
    pictures: Sequence[Picture], first: int, model: Prepared | None, report: Reporter
) -> tuple[list[dict[str, Any]], NDArray[np.uint64], NDArray[np.int64]]:
    """The row of each image, its hashes `[images, 8]`, and the pairs that may be one picture, `[pairs, 2]`.

    Of images with the same pixels only the first is in pairs. Of the reference no embeddings are held.
    """
    rows: list[dict[str, Any]] = []
    hashes: list[NDArray[np.uint64]] = []
    seen: set[str | None] = {None}

    def unseen(some: Sequence[Picture]) -> Iterator[Looks]:
        for block in describe(some, model, progress):
            numbers = []
            for number, row in enumerate(block.rows, len(rows)):
                if row["pixels"] not in seen:
                    seen.add(row["pixels"])
                    numbers.append(number)
            places = np.array(numbers, np.int64) - len(rows)
            yield Looks(places + len(rows), block.hashes[places], block.views[places])
            rows.extend(block.rows)
            hashes.append(block.hashes)

    report.status(f"looking at {len(pictures):,} images for duplicates")
    with report.bar(len(pictures), len(view_rules(1)) if model else 1, len(pictures)) as progress:
        own = joined(list(unseen(pictures[:first])))
        within, across = Candidates(own), Candidates(own)
        within.add(own, same=True)
        for looks in unseen(pictures[first:]):
            across.add(looks)
    near = np.sort(np.concatenate([within.pairs(), across.pairs()]), axis=1)
    return rows, np.concatenate(hashes), np.unique(near, axis=0)


def _equal(rows: Sequence[dict[str, Any]]) -> list[Pair]:
    """Images with the pixels of an earlier one, each paired with the first that has them."""
    first: dict[str, int] = {}
    pairs = []
    for image, row in enumerate(rows):
        if row["pixels"] is not None and first.setdefault(row["pixels"], image) != image:
            one = first[row["pixels"]]
            pairs.append(Pair(one, image, "bytes" if rows[one]["sha256"] == row["sha256"] else "pixels", 1.0))
    return pairs


def _confirmed(pictures: Sequence[Picture], hashes: NDArray[np.uint64], near: NDArray[np.int64]) -> list[Pair]:
    """Those of the pairs that are one picture."""

    def grey_image(image: int) -> Image.Image:
        dataset, number = pictures[image]
        picture = read_picture(dataset, number, sample_row(dataset, number))
        # What has gone since it was described is like nothing.
        return grey(picture or Image.new("L", (1, 1)))

    @lru_cache(AT_HAND)
    def points(image: int) -> Points:
        return find_points(grey_image(image))

    def confirm(pair: tuple[int, int]) -> Pair | None:
        one, other = pair
        whole = near_orientations(hashes[one], hashes[other], BITS)
        match = compare(points(one), points(other), lambda: (grey_image(one), grey_image(other)), whole)
        return Pair(one, other, match.kind, match.score) if match else None

    square = AT_HAND // 2
    order = np.lexsort((near[:, 1], near[:, 0], near[:, 1] // square, near[:, 0] // square))
    # Products of a few hundred rows take ten times as long where BLAS, too, divides each among threads.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(len(os.sched_getaffinity(0)), "compare") as pool:
        return [pair for pair in pool.map(confirm, near[order].tolist()) if pair]


def _table(rows: Sequence[dict[str, Any]], pairs: Sequence[Pair], first: int) -> pa.Table:
    """The rows of `DUPLICATES`; images from `first` on are of the reference."""
    found: dict[int, list[Pair]] = defaultdict(list)
    for known in pairs:
        found[known.one].append(known)
        found[known.other].append(known)
    pixels = np.array([(row["width"] or 0) * (row["height"] or 0) for row in rows], np.int64)
    lengths = np.array([row["length"] for row in rows], np.int64)
    names = [image_key(row["origin"], row["image_id"]) for row in rows]
    lines = []
    joined_by = clusters(len(rows), ((known.one, known.other) for known in pairs))
    for number, cluster in enumerate(cluster for cluster in joined_by if cluster[0] < first):
        kept = keep(cluster, pixels, lengths, first)
        why = links(cluster, kept, found)
        for image in cluster:
            pair = why.get(image)
            lines.append(
                {
                    "id": names[image],
                    "origin": rows[image]["origin"],
                    "image_id": rows[image]["image_id"],
                    "reference": image >= first,
                    "cluster": number,
                    "kept": image == kept,
                    "kind": pair and pair.kind,
                    "score": pair and pair.score,
                    "twin": pair and names[pair.other if pair.one == image else pair.one],
                }
            )
    return pa.Table.from_pylist(lines, schema=DUPLICATES)
