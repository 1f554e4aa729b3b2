"""Which backend is the fastest for a model here, and how well each agrees with eager PyTorch in float32."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.accuracy import Share, share
from snellen.classifiers import Prepared, prepare
from snellen.classifiers.agreement import TOLERANCE, apart
from snellen.classifiers.backends import ABLE, check_running
from snellen.classifiers.host import best_name, forget, host, remember, speed_name
from snellen.classifiers.measure import ROUNDS, SECONDS, Measurers, batches_of, in_turn, measurers
from snellen.classifiers.spec import parse_spec
from snellen.classifiers.views import real_views
from snellen.datasets import open_dataset
from snellen.engine.local import capacity
from snellen.engine.progress import Reporter, silent
from snellen.errors import ModelError, UsageError

PRECISIONS = ("fp32", "bf16")
# Views that answers are compared on: 20 of each of the 16 photographs.
VIEWS = 320


@dataclass(frozen=True)
class Row:
    """One backend at one precision.

    rates: by batch size, views a second of all processes together, the median over the rounds.
    apart: the largest difference of a logit from eager float32, over 1 + the largest logit.
    equal: the share of views with the same answer as eager float32.
    agrees: whether `apart` is within the precision's tolerance; None where there is none, for int8.
    """

    backend: str
    precision: str
    rates: dict[int, float]
    apart: float
    equal: Share
    agrees: bool | None

    @property
    def batch_size(self) -> int:
        """The batch size with the highest rate."""
        return max(self.rates, key=lambda batch: self.rates[batch])

    @property
    def views_per_s(self) -> float:
        """Its rate."""
        return self.rates[self.batch_size]

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        best = {"batch_size": self.batch_size, "views_per_s": self.views_per_s}
        return asdict(self) | best | {"equal": self.equal.to_json()}


@dataclass(frozen=True)
class Bench:
    """What was measured, and what could not be: (backend, precision, why). `auto`: what it means from now on."""

    model: str
    device: str
    workers: int
    host: dict[str, Any]
    rows: list[Row]
    left_out: list[tuple[str, str, str]]
    auto: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """A plain form."""
        left_out = [dict(zip(("backend", "precision", "why"), one, strict=True)) for one in self.left_out]
        return asdict(self) | {"rows": [row.to_json() for row in self.rows], "left_out": left_out}


def bench(
    model: str = "embedded/efficientnet_lite0",
    *,
    precisions: Sequence[str] = PRECISIONS,
    device: str = "auto",
    workers: int | None = None,
    rounds: int = ROUNDS,
    report: Reporter = silent,
) -> Bench:
    """Measure every backend that is installed, at each precision and several batch sizes, and remember the best.

    model: a spec as in `study`.
    workers: how many pinned processes compute at the same time; as many as a study would use where None.
    rounds: how often each is measured, all in turn.

    `auto` means the fastest from then on, for this model on this machine, of those that agree with eager PyTorch in
    float32 on views of the shipped photographs.

    Raises ModelError for a model that cannot be had, UsageError for a precision or device that there is not.
    """
    wanted = list(dict.fromkeys(precisions))
    if not wanted or rounds < 1 or (workers is not None and workers < 1):
        raise UsageError("nothing to measure: expected at least one precision, one round and one worker")
    device = check_running(wanted[0], device=device)[1]
    for precision in wanted:
        check_running(precision, device=device)
    kind = device.split(":")[0]
    if parse_spec(model).kind == "vlm":
        raise ModelError(f"{model} answers in words: its server computes it, and no backend here")
    report.status(f"preparing {model}")
    reference = prepare(model, backend="torch", device=device)
    ready: list[Prepared] = []
    left_out: list[tuple[str, str, str]] = []
    for precision in wanted:
        for backend, (devices, able) in ABLE.items():
            if kind not in devices or precision not in able:
                continue
            try:
                how: dict[str, Any] = {"precision": precision, "backend": backend, "device": device}
                ready.append(prepare(model, **how, measure=False))
            except ModelError as error:
                left_out.append((backend, precision, str(error)))
    count = workers or capacity(device)
    views, _ = real_views(open_dataset("examples"), reference.card.view_size, VIEWS)
    rows: list[Row] = []
    with measurers(count, device) as processes:
        expected = processes.logits(processes.load(reference), views)
        for precision in wanted:
            processes.clear()
            of_this = [one for one in ready if one.precision == precision]
            rows += _measured(processes, of_this, views, expected, rounds, left_out, report)
    auto = {precision: remember_best(rows, ready, precision, device, count) for precision in wanted}
    chosen = {precision: backend for precision, backend in auto.items() if backend}
    return Bench(reference.text, device, count, host(), rows, left_out, chosen)


def _measured(
    processes: Measurers,
    ready: Sequence[Prepared],
    views: NDArray[np.uint8],
    expected: NDArray[np.float32],
    rounds: int,
    left_out: list[tuple[str, str, str]],
    report: Reporter,
) -> list[Row]:
    """The rows of one precision; what cannot be loaded goes to `left_out`."""
    loaded: dict[int, tuple[Prepared, int]] = {}
    for prepared in ready:
        try:
            report.status(f"loading {prepared.backend} {prepared.precision}")
            for batch in batches_of(prepared):
                loaded[processes.load(prepared.with_batch(batch))] = (prepared, batch)
        except ModelError as error:
            left_out.append((prepared.backend, prepared.precision, str(error)))
    report.status(f"measuring {len(loaded)} in turn, {rounds} rounds")
    measured = in_turn(list(loaded), lambda k: processes.rate(k, SECONDS), rounds)
    rows = []
    for prepared in ready:
        mine = {k: batch for k, (one, batch) in loaded.items() if one is prepared}
        if not mine:
            continue
        rates = {batch: float(np.median(measured[k])) for k, batch in mine.items()}
        fastest = max(mine, key=lambda k: rates[mine[k]])
        logits = processes.logits(fastest, views)
        found = apart(logits, expected)
        within = TOLERANCE.get(prepared.precision)
        rows.append(
            Row(
                prepared.backend,
                prepared.precision,
                rates,
                found,
                share(logits.argmax(axis=1) == expected.argmax(axis=1)),
                None if within is None else found <= within,
            )
        )
    return rows


def remember_best(
    rows: Sequence[Row], ready: Sequence[Prepared], precision: str, device: str, workers: int
) -> str | None:
    """Keep every backend's best batch size, and the best backend of those that agree; its name.

    Where none agrees, `auto` means again what it does where nothing was measured.
    """
    entries = {one.backend: one for one in ready if one.precision == precision}
    of_this = [row for row in rows if row.precision == precision]
    for row in of_this:
        one = entries[row.backend]
        assert one.entry is not None
        speed = {"batch_size": row.batch_size, "views_per_s": row.views_per_s / workers}
        remember(one.entry, speed_name(precision, device, one.runs), speed)
    agreeing = {row.backend: row.views_per_s for row in of_this if row.agrees}
    if not agreeing:
        for one in entries.values():
            assert one.entry is not None
            forget(one.entry, best_name(precision, device))
        return None
    best = max(agreeing, key=lambda backend: agreeing[backend])
    entry = entries[best].entry
    assert entry is not None
    date = time.strftime("%Y-%m-%d", time.gmtime())
    remember(entry, best_name(precision, device), {"backend": best, "date": date, "views_per_s": agreeing})
    return best
