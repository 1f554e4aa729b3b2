"""What the server has to know of each image of a set, in a small file: its place, its hash and its labels."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snellen.atomic import write_atomic

# What NumPy says of a file of arrays that is not there, or not whole.
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, eq=False)
class Index:
    """By position. source, number: which data set, and which image of it, -1 where that is not known: int32 `[images]`.

    hashes: sha256 of the bytes, zeros where not known: uint8 `[images, 32]`. ids, starts: labels of all images one
    after the other, int32, and where each image's begin, with the end at last: int32 `[images + 1]`.
    """

    source: NDArray[np.int32]
    number: NDArray[np.int32]
    hashes: NDArray[np.uint8]
    ids: NDArray[np.int32]
    starts: NDArray[np.int32]

    @staticmethod
    def of(places: Sequence[tuple[int, int]], hashes: Sequence[str | None], labels: Sequence[Sequence[int]]) -> "Index":
        """The index of images by their places, sha256 in hex digits and label sets."""
        table = np.array(places, np.int32).reshape(-1, 2)
        raw = b"".join(bytes.fromhex(one) if one else bytes(32) for one in hashes)
        counts = np.array([len(row) for row in labels], np.int32)
        flat = np.array([label for row in labels for label in row], np.int32)
        starts = np.concatenate([np.zeros(1, np.int32), np.cumsum(counts, dtype=np.int32)])
        octets = np.frombuffer(raw, np.uint8).reshape(-1, 32)
        return Index(table[:, 0].copy(), table[:, 1].copy(), octets, flat, starts)

    def __len__(self) -> int:
        return len(self.source)

    def sha256(self, position: int) -> str | None:
        """The hash of an image's bytes in hex digits."""
        if not 0 <= position < len(self) or not self.hashes[position].any():
            return None
        return str(self.hashes[position].tobytes().hex())

    def labels(self, positions: NDArray[np.intp]) -> list[list[int]]:
        """The label sets of some images."""
        return [self.ids[self.starts[p] : self.starts[p + 1]].tolist() for p in positions.tolist()]

    def within(self, source: int, start: int, stop: int) -> NDArray[np.intp]:
        """The positions of those images `start` … `stop - 1` of a data set that are in the set, by their numbers."""
        found = np.flatnonzero((self.source == source) & (self.number >= start) & (self.number < stop))
        return found[np.argsort(self.number[found], kind="stable")]

    def write(self, path: Path) -> None:
        """Put it at `path`, whole or not at all."""
        buffer = io.BytesIO()
        np.savez(buffer, source=self.source, number=self.number, hashes=self.hashes, ids=self.ids, starts=self.starts)
        write_atomic(path, buffer.getvalue())


def read_index(path: Path) -> Index:
    """The index that `Index.write` put at `path`."""
    with path.open("rb") as file, np.load(file) as found:
        return Index(found["source"], found["number"], found["hashes"], found["ids"], found["starts"])
