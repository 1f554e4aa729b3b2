"""The rows of candidates.parquet: each hard image, and which miner failed at how many zooms with what answers."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from snellen.analysis.images import first_ids
from snellen.mining.mined import CANDIDATES, image_key
from snellen.mining.miners import Miners
from snellen.store import Run
from snellen.store.mined import Seen, seen_in_turn


def candidates(miners: Miners, hard: Sequence[NDArray[np.bool_]]) -> pa.Table:
    """A row for each hard image, in the order of data sets and images: a table of `CANDIDATES`.

    hard: of each pool, which of its images are hard, bool `[images]`.
    """
    rows = []
    for place, (pool, wanted) in enumerate(zip(miners.pools, hard, strict=True)):
        samples: dict[int, dict[str, Any]] = {}
        evidence: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for number, name in enumerate(miners.names):
            run = miners.runs.get((number, place))
            if run is None:
                continue
            for seen in seen_in_turn(run):
                rows_here = np.flatnonzero(np.isin(seen.images, np.flatnonzero(wanted)))
                samples |= {row["image"]: row for row in seen.samples.take(rows_here).to_pylist()}
                for image, failures in _failures(run, seen, rows_here, pool.labels):
                    evidence[image].append({"miner": name, **failures})
        for image in np.flatnonzero(wanted).tolist():
            sample, told = samples[image], evidence[image]
            rows.append(
                {
                    **{name: sample[name] for name in ("origin", "image_id", "sha256", "width", "height")},
                    "id": image_key(sample["origin"], sample["image_id"]),
                    "labels": sorted(set(pool.labels[image])),
                    "miners": [one["miner"] for one in told],
                    "answers": [one["answer"] for one in told],
                    "answered": [one["answered"] for one in told],
                    "failed_zooms": [one["failed"] for one in told],
                }
            )
    return pa.Table.from_pylist(rows, schema=CANDIDATES)


def _failures(
    run: Run, seen: Seen, rows: NDArray[np.intp], labels: Sequence[Sequence[int]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Those of some images that a run has wrong views of, and what it says of each.

    rows: of `seen`. labels: of each image of the data set.

    `failed`: how many views are wrong. `answered`: their classes, the most frequent first, then the lowest; of several
    ids of a class the first. `answer`: the first of them with its share of all views of the image.
    """
    first = first_ids(run.class_map, np.int32)
    answers = seen.answers[rows]
    right = run.score(answers, [labels[image] for image in seen.images[rows].tolist()])
    for image, shown, ids in zip(
        seen.images[rows].tolist(), seen.shown[rows], np.where(right, -1, answers), strict=True
    ):
        classes, counts = np.unique((ids if first is None else first[ids])[shown & (ids >= 0)], return_counts=True)
        if not len(classes):
            continue
        order = np.argsort(-counts, kind="stable")
        answer = {"class": int(classes[order[0]]), "share": float(counts[order[0]] / shown.sum())}
        yield image, {"failed": int(counts.sum()), "answered": classes[order].tolist(), "answer": answer}
