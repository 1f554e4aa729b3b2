"""Calibration: whether a model is right as often as it says."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# As Guo et al. 2017.
BINS = 15


@dataclass(frozen=True)
class Bin:
    """The answers whose confidence lies in `(low, high]`; `confidence` and `accuracy` are means, nan where n is 0."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error with the table it is the weighted mean of.

    ece: in 0 … 1, nan where n is 0.
    n: answers counted; left_out: answers without a confidence.
    """

    ece: float
    n: int
    left_out: int
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain form; what is undefined is None."""

        def plain(record: dict[str, Any]) -> dict[str, Any]:
            return {key: None if value != value else value for key, value in record.items()}

        return plain(asdict(self)) | {"bins": [plain(asdict(row)) for row in self.bins]}


def calibration(confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> Calibration:
    """The expected calibration error of top-1 answers over 15 equal-width bins, each open below and closed above.

    confidence: float32 `[n]`, the probability each answer was given, in 0 … 1 (0 falls into the first bin); nan where
        there was no answer, which leaves it out.
    right: bool `[n]`.

    Raises ValueError for a confidence outside 0 … 1. Method: Guo et al. 2017, "On Calibration of Modern Neural
    Networks", section 2: the mean of |accuracy − confidence| over the bins, weighted by their counts.

    >>> calibration(np.array([0.9, 0.9, 0.6, np.nan], np.float32), np.array([1, 0, 1, 0], bool)).ece.__round__(3)
    0.4
    """
    known = ~np.isnan(confidence)
    values, hits = confidence[known].astype(np.float32), right[known]
    if len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"confidences must lie in 0 … 1, got {values.min()} … {values.max()}")
    edges = np.linspace(0, 1, BINS + 1, dtype=np.float32)  # float32 as the values: 1/3 is on its edge
    place = np.searchsorted(edges[1:], values, side="left")
    counts = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        means = np.bincount(place, values.astype(np.float64), BINS) / counts
        accuracies = np.bincount(place, hits, BINS) / counts
    gaps = np.where(counts > 0, np.abs(accuracies - means), 0.0)
    ece = float((gaps * counts).sum() / len(values)) if len(values) else float("nan")
    bins = tuple(
        Bin(k / BINS, (k + 1) / BINS, int(counts[k]), float(means[k]), float(accuracies[k])) for k in range(BINS)
    )
    return Calibration(ece, len(values), int((~known).sum()), bins)
